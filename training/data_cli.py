"""The commands `wbc data`: summary, check, preview and speed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.cli import CONFIG_FILE, DATA_ROOT, FILE, plain_errors, resolve
from training.config import TrainingConfig
from wbc.cli.options import options
from wbc.labels import CLASSES
from wbc.settings import settings

if TYPE_CHECKING:
    from wbc.data.dataset import Split

RUN_OPTIONS = options(TrainingConfig, without=("results_dir", "model_path"))


@click.group()
def data() -> None:
    """Inspect a data set before training."""


@data.command()
@DATA_ROOT
@click.option("--chart", type=FILE, default="class_distribution.png", show_default=True, help="Image file to write.")
def summary(data_root: Path | None, chart: Path) -> None:
    """Print the number of images per class and split and draw the class-distribution chart."""
    from training import figures

    with plain_errors():
        splits = _read_splits(data_root)
    width = max(len(split.name) for split in splits)
    click.echo(f"{'':{width}}  " + "  ".join(f"{name:>10}" for name in (*CLASSES, "all")))
    for split in splits:
        numbers = (*split.counts.tolist(), len(split.paths))
        click.echo(f"{split.name:{width}}  " + "  ".join(f"{number:>10}" for number in numbers))
    chart.parent.mkdir(parents=True, exist_ok=True)
    figures.class_distribution({split.name: split.counts.tolist() for split in splits}, chart)
    click.echo(f"chart: {chart}")


@data.command()
@DATA_ROOT
@click.option("--show", type=click.IntRange(0), default=10, show_default=True, help="Findings of each kind to list.")
def check(data_root: Path | None, show: int) -> None:
    """Find unreadable files and exact duplicates; exit 1 if a file is unreadable, or in two splits or classes."""
    from wbc.data import checks
    from wbc.data.cache import ImageCache
    from wbc.data.dataset import cores

    with plain_errors():
        splits = _read_splits(data_root)
        findings = checks.check(splits, ImageCache(None), cores())
    kinds = {
        "unreadable": [f"{bad.path}: {bad.reason}" for bad in findings.unreadable],
        "in two splits": [str(d) for d in findings.duplicates if d.straddles],
        "in two classes": [str(d) for d in findings.duplicates if d.conflicts],
        "exact duplicates": [str(d) for d in findings.duplicates],
        "not named like an image": [str(path) for path in findings.ignored],
    }
    click.echo(f"{findings.files} files in {len(splits)} splits")
    for kind, found in kinds.items():
        click.echo("\n  ".join([f"{len(found)} {kind}", *found[:show]]))
    if not findings.sound:
        raise click.ClickException("unreadable files, or duplicates across splits or classes")


@data.command()
@RUN_OPTIONS
@CONFIG_FILE
@click.option("--split", default="Train", show_default=True, help="Split from which the cells are taken.")
@click.option("--versions", type=click.IntRange(1, 20), default=7, show_default=True, help="Versions of each cell.")
@click.option("--out", type=FILE, default="preview.png", show_default=True, help="Image file to write.")
@click.pass_context
def preview(context: click.Context, /, file: Path | None, split: str, versions: int, out: Path, **_: Any) -> None:
    """Draw a contact sheet: one cell per class, random versions of it, and the network's input of each."""
    from training.preview import contact_sheet

    config = resolve(context, file)
    with plain_errors():
        contact_sheet(config, split, versions, out)
    click.echo(f"contact sheet: {out}")


@data.command()
@RUN_OPTIONS
@CONFIG_FILE
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    help="Measured batches, after a first one.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON file for the numbers.")
@click.pass_context
def speed(context: click.Context, /, file: Path | None, steps: int, output: Path | None, **_: Any) -> None:
    """Measure the throughput of the input pipeline, by itself and during training."""
    from training.pipeline_speed import measure_pipeline
    from training.prepare import build_with

    config = resolve(context, file)
    with plain_errors():
        numbers = asdict(measure_pipeline(config, build_with(), steps=steps))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(numbers, indent=2) + "\n")
    for name, number in numbers.items():
        click.echo(f"{name:<15} {number:>10.4g}")


def _read_splits(data_root: Path | None) -> list[Split]:
    """Read all splits of a data set: training, validation, then the test domains."""
    from wbc.data.dataset import VAL, domains, read_split, split_names

    root = data_root or settings().data_root
    tests = domains(root)
    first = [n for n in split_names(root) if n not in tests and n.lower() in ("train", VAL.lower())]
    return [read_split(root, name) for name in first + tests]
