"""The commands of training: `wbc train`, `wbc data`, `wbc compare-backbones`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from training.config import TrainingConfig, read_config
from wbc.cli.options import build, flag, given, options
from wbc.errors import InvalidParameter, WBCError
from wbc.labels import CLASSES
from wbc.settings import settings

DATA_ROOT = click.option(
    "--data-root", type=click.Path(path_type=Path), default=None, help="Folder of the splits.  [default: WBC_DATA_ROOT]"
)
FILE = click.option(
    "--config", "file", type=click.Path(path_type=Path), help="YAML or TOML file of settings; the command line wins."
)


@click.command()
@options(TrainingConfig)
@FILE
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch of the run in the results folder.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be trained, prepare one batch, write nothing but the cache."
)
@click.pass_context
def train(context: click.Context, /, file: Path | None, resume: bool, dry_run: bool, **_: Any) -> None:
    """Train a classifier: two phases, the best epoch kept, a report beside the model."""
    config = _resolved(context, file)
    with _said_plainly():
        if dry_run:
            _show_plan(config)
            return
        from training.fit import train as fit

        record = fit(config, resume=resume)
    click.echo(
        f"{config.results_dir / 'model.keras'}: epoch {record.best_epoch}, "
        f"{_scores(record.model_dump())}, {record.wall_time_s:.0f} s"
    )
    for phase, why in record.stops.items():
        click.echo(f"phase {phase} ended early: {why}", err=True)
    click.echo(f"report: {config.results_dir / 'report.html'}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the averaged model."
)
@click.option(
    "--start-share",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1),
    help="Share in the mean of the weights that the runs began with.",
)
def average(runs: tuple[Path, ...], output: Path, start_share: float) -> None:
    """Average the weights of RUNS, results folders.

    The runs differ in their seed alone and began with the same weights, a `.keras` file: heads of their own have no
    mean.
    """
    with _said_plainly():
        from training.average import average_runs

        record = average_runs(runs, output, start_share=start_share)
    for run in record.averaged:
        click.echo(f"seed {run['seed']}: {_scores(run)}")
    click.echo(f"{output / 'model.keras'}: {_scores(record.model_dump())}")


@click.command("cross-fit")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--left-out",
    "pairs",
    nargs=2,
    multiple=True,
    required=True,
    metavar="RUN SOURCE",
    help="Another run of the same recipe, and a source that it was not trained on; may be given several times.",
)
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the result."
)
@click.option(
    "--seed-run",
    "seeds",
    nargs=2,
    multiple=True,
    metavar="FOLDER SOURCE",
    help="Another such run, which is scored and not fitted on; may be given several times.",
)
@DATA_ROOT
def cross_fit(
    run: Path,
    pairs: tuple[tuple[str, str], ...],
    output: Path,
    seeds: tuple[tuple[str, str], ...],
    data_root: Path | None,
) -> None:
    """Fit class biases and the temperature for other devices, and shift the head of RUN by them.

    They are fitted on sources that a run of the same recipe has not seen, so that they hold on the next device.
    """
    with _said_plainly():
        from training.cross_fit import cross_fit as fit

        left_out, further = ([(Path(other), source) for other, source in given] for given in (pairs, seeds))
        found = fit(run, left_out, output, data_root or settings().data_root, further)
    for row in found["sources"]:
        after = row.get("cross_fitted", {}).get("val_balanced_accuracy")
        shown = "" if after is None else f", with biases of the other sources {after:.4f}"
        click.echo(f"{row['source']} by {row['run']}: balanced accuracy {row['val_balanced_accuracy']:.4f}{shown}")
    click.echo(
        f"{output / 'model.keras'}: temperature on other devices {found['temperature']:g}, biases {found['bias']}"
    )


@click.command("left-out")
@click.argument("pairs", nargs=-1, required=True, metavar="(RUN SOURCE)...")
@click.option("--tta", "mode", type=click.Choice(["none", "light"]), default="none", show_default=True, help="Views.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="JSON file of scores.")
@click.option("--cache-dir", type=click.Path(path_type=Path), default=Path("runs/cache"), help="Folder of images.")
@DATA_ROOT
def left_out(pairs: tuple[str, ...], mode: Any, output: Path, cache_dir: Path, data_root: Path | None) -> None:
    """Score runs, each on a source that it was not trained on."""
    if len(pairs) % 2:
        raise click.UsageError(f"received {len(pairs)} values; pairs of a run's folder and a source are accepted")
    with _said_plainly():
        from training.cross_fit import compare_left_out
        from wbc.data.cache import ImageCache

        runs = [(Path(run), source) for run, source in zip(pairs[::2], pairs[1::2], strict=True)]
        found = compare_left_out(runs, data_root or settings().data_root, ImageCache(cache_dir), mode)
    for row in found["runs"]:
        click.echo(f"{row['run']} on {row['source']}: balanced accuracy {row['val_balanced_accuracy']:.4f}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(str(output))


def _scores(values: Mapping[str, Any]) -> str:
    return f"validation accuracy {values['val_accuracy']:.4f}, balanced {values['val_balanced_accuracy']:.4f}"


@click.group()
def data() -> None:
    """Look at a data set before learning from it."""


@data.command()
@DATA_ROOT
@click.option(
    "--chart",
    type=click.Path(path_type=Path),
    default=Path("class_distribution.png"),
    show_default=True,
    help="The chart.",
)
def summary(data_root: Path | None, chart: Path) -> None:
    """Print the images of each class in each split and draw the class-distribution chart."""
    from training import figures
    from wbc.data.dataset import read_split

    with _said_plainly():
        root = data_root or settings().data_root
        splits = [read_split(root, name) for name in _split_folders(root)]
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
@click.option(
    "--show", type=click.IntRange(min=0), default=10, show_default=True, help="Findings of a kind that are listed."
)
def check(data_root: Path | None, show: int) -> None:
    """Find unreadable files and exact duplicates; exit 1 where a file is unreadable, or in two splits or classes."""
    from wbc.data import checks
    from wbc.data.cache import ImageCache
    from wbc.data.dataset import cores, read_split

    with _said_plainly():
        root = data_root or settings().data_root
        splits = [read_split(root, name) for name in _split_folders(root)]
        findings = checks.check(splits, ImageCache(None), cores())
    kinds = {
        "unreadable": [f"{bad.path}: {bad.reason}" for bad in findings.unreadable],
        "in two splits": [_files(d) for d in findings.duplicates if d.straddles],
        "in two classes": [_files(d) for d in findings.duplicates if d.conflicts],
        "exact duplicates": [_files(d) for d in findings.duplicates],
        "not named like an image": [str(path) for path in findings.ignored],
    }
    click.echo(f"{findings.files} files in {len(splits)} splits")
    for kind, found in kinds.items():
        click.echo(f"{len(found)} {kind}")
        for line in found[:show]:
            click.echo(f"  {line}")
    if not findings.sound:
        raise click.ClickException(
            "the data set is not sound: unreadable files, or duplicates across splits or classes"
        )


@data.command()
@options(TrainingConfig, without=("results_dir", "model_path"))
@FILE
@click.option("--split", default="Train", show_default=True, help="Where the cells are taken from.")
@click.option(
    "--versions", type=click.IntRange(1, 20), default=7, show_default=True, help="Random versions of each cell."
)
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("preview.png"), show_default=True, help="The sheet."
)
@click.pass_context
def preview(context: click.Context, /, file: Path | None, split: str, versions: int, out: Path, **_: Any) -> None:
    """Draw a contact sheet: a cell of each class, and what augmentation and preprocessing make of it."""
    from training.preview import contact_sheet

    config = _resolved(context, file)
    with _said_plainly():
        contact_sheet(config, split, versions, out)
    click.echo(f"contact sheet: {out}")


@data.command()
@options(TrainingConfig, without=("results_dir", "model_path"))
@FILE
@click.option(
    "--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Batches that are measured, after one."
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Where the numbers are written, JSON.")
@click.pass_context
def speed(context: click.Context, /, file: Path | None, steps: int, output: Path | None, **_: Any) -> None:
    """Measure how fast images reach the network: the input pipeline alone, and beside the training steps."""
    from dataclasses import asdict

    from training.fit import build_with
    from training.pipeline_speed import measure_pipeline

    config = _resolved(context, file)
    with _said_plainly():
        numbers = asdict(measure_pipeline(config, build_with(), steps=steps))
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(numbers, indent=2) + "\n")
    for name, number in numbers.items():
        click.echo(f"{name:<15} {number:>10.4g}")


@click.command("compare-backbones")
@options(TrainingConfig, without=("model_path", "input_reduction", "backbone"))
@FILE
@click.option(
    "--models", multiple=True, metavar="NAME ...", help="Networks to compare, as in the table.  [default: all]"
)
@click.argument("more", nargs=-1, metavar="")  # what stands behind the first name: options take one value each
@click.option("--fast", is_flag=True, help="Few images, small and for few epochs: runs everything, ranks nothing.")
@click.pass_context
def compare_backbones(
    context: click.Context, /, file: Path | None, models: tuple[str, ...], more: tuple[str, ...], fast: bool, **_: Any
) -> None:
    """Train, judge and time the published backbones under one protocol; goes on where it was interrupted."""
    if more and not models:
        raise click.BadParameter(f"unexpected {' '.join(more)}; names of networks stand behind --models")
    from training.compare import FAST, compare, table

    config = _resolved(context, file, FAST if fast else {})
    with _said_plainly():
        rows = compare(config, models + more) if models else compare(config)
    click.echo(table(rows))
    click.echo(f"{config.results_dir / 'comparison.md'}")


def _resolved(
    context: click.Context, file: Path | None, below: Mapping[str, Any] = MappingProxyType({})
) -> TrainingConfig:
    """The configuration: of `below`, the file and the command line the last wins."""
    try:
        values = read_config(file) if file else {}
    except InvalidParameter as error:
        raise click.BadParameter(str(error), param_hint="--config") from error
    return build(TrainingConfig, {**below, **values, **given(context, TrainingConfig)})


def _show_plan(config: TrainingConfig) -> None:
    """Prepare all that stands before the first step, and say what it is."""
    from training.plan import plan

    values = config.model_dump(mode="json")
    width = max(len(flag(name)) for name in values)
    for name, value in values.items():
        click.echo(f"{flag(name):{width}}  {value}")
    click.echo(plan(config))


def _split_folders(root: Path) -> list[str]:
    """The folders of a data set that hold splits, training first."""
    from wbc.data.dataset import VAL, domains, split_names

    names = split_names(root)
    tests = domains(root)
    first = [name for name in names if name not in tests and name.lower() in ("train", VAL.lower())]
    return first + tests


def _files(duplicate: Any) -> str:
    return " = ".join(str(path) for path in duplicate.paths)


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Errors that this package raises on purpose, as a message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        yield
    except WBCError as error:
        raise click.ClickException(str(error)) from error
