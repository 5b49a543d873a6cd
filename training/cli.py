"""The commands `wbc train`, `wbc average`, `wbc cross-fit` and `wbc compare-backbones`."""

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
from wbc.cli.options import FOLDER, build, flag, given, options
from wbc.errors import InvalidParameter, WBCError
from wbc.settings import settings

FILE, SHARE = click.Path(path_type=Path), click.FloatRange(0, 1)
DATA_ROOT = click.option("--data-root", type=FILE, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
LEFT_OUT = "Another run of the same recipe, and a source on which it was not trained; may be repeated."
CONFIG_FILE = click.option("--config", "file", type=FILE, help="YAML or TOML file of settings; options override it.")


@click.command()
@options(TrainingConfig)
@CONFIG_FILE
@click.option("--resume", is_flag=True, help="Continue after the last finished epoch in the results folder.")
@click.option("--dry-run", is_flag=True, help="Show the configuration and test one batch; write only the cache.")
@click.pass_context
def train(context: click.Context, /, file: Path | None, resume: bool, dry_run: bool, **_: Any) -> None:
    """Train a classifier in two phases and keep the epoch with the best validation scores."""
    config = resolve(context, file)
    with plain_errors():
        if dry_run:
            _show_plan(config)
            return
        from training.fit import train as fit

        record = fit(config, resume=resume)
    click.echo(
        f"{config.results_dir / 'model.keras'}: epoch {record.best_epoch}, "
        f"{_scores(record.model_dump())}, {record.wall_time_s:.0f} s"
    )
    for phase, reason in record.stops.items():
        click.echo(f"phase {phase} ended early: {reason}", err=True)
    click.echo(f"report: {config.results_dir / 'report.html'}")


@click.command()
@click.argument("runs", nargs=-1, required=True, type=FOLDER)
@click.option("--output", required=True, type=FOLDER, help="Folder for the averaged model.")
@click.option("--start-share", default=0.0, show_default=True, type=SHARE, help="Share of the initial weights.")
def average(runs: tuple[Path, ...], output: Path, start_share: float) -> None:
    """Average the weights of RUNS, folders of finished runs.

    The runs must differ only in their seed and must have started from the same `.keras` file.
    """
    with plain_errors():
        from training.average import average_runs

        record = average_runs(runs, output, start_share=start_share)
    for run in record.averaged:
        click.echo(f"seed {run['seed']}: {_scores(run)}")
    click.echo(f"{output / 'model.keras'}: {_scores(record.model_dump())}")


@click.command("cross-fit")
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--left-out", "pairs", nargs=2, multiple=True, required=True, metavar="RUN SOURCE", help=LEFT_OUT)
@click.option("--output", required=True, type=FOLDER, help="Folder for the result.")
@DATA_ROOT
def cross_fit(run: Path, pairs: tuple[tuple[str, str], ...], output: Path, data_root: Path | None) -> None:
    """Fit the temperature and the use of the cell's size for other devices, and keep them with a copy of RUN.

    They are fitted on sources on which a run of the same recipe was not trained, so that they apply to new devices.
    """
    with plain_errors():
        from training.cross_fit import cross_fit as fit

        left_out = [(Path(other), source) for other, source in pairs]
        found = fit(run, left_out, output, data_root or settings().data_root)
    for row in found["sources"]:
        after = row.get("cross_fitted", {}).get("val_balanced_accuracy")
        shown = "" if after is None else f", corrected by the other sources {after:.4f}"
        click.echo(f"{row['source']} by {row['run']}: balanced accuracy {row['val_balanced_accuracy']:.4f}{shown}")
    click.echo(f"{output}: temperature on other devices {found['temperature']:g}, cell size {found['cell_size']}")


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
    with plain_errors():
        from training.cross_fit import compare_left_out
        from wbc.data.cache import ImageCache

        runs = [(Path(run), source) for run, source in zip(pairs[::2], pairs[1::2], strict=True)]
        found = compare_left_out(runs, data_root or settings().data_root, ImageCache(cache_dir), mode)
    for row in found["runs"]:
        click.echo(f"{row['run']} on {row['source']}: balanced accuracy {row['val_balanced_accuracy']:.4f}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(str(output))


@click.command("compare-backbones")
@options(TrainingConfig, without=("model_path", "input_reduction", "backbone"))
@CONFIG_FILE
@click.option("--models", multiple=True, metavar="NAME ...", help="Networks to compare.  [default: all]")
@click.argument("more", nargs=-1, metavar="")  # names after the first one: a click option takes one value
@click.option("--fast", is_flag=True, help="Test run with few small images and few epochs; its scores mean nothing.")
@click.pass_context
def compare_backbones(
    context: click.Context, /, file: Path | None, models: tuple[str, ...], more: tuple[str, ...], fast: bool, **_: Any
) -> None:
    """Train, score and time the published backbones under one protocol; continues an interrupted comparison."""
    if more and not models:
        raise click.BadParameter(f"unexpected {' '.join(more)}; names of networks follow --models")
    from training.compare import FAST, compare, table

    config = resolve(context, file, FAST if fast else {})
    with plain_errors():
        rows = compare(config, models + more) if models else compare(config)
    click.echo(table(rows))
    click.echo(f"{config.results_dir / 'comparison.md'}")


def resolve(
    context: click.Context, file: Path | None, defaults: Mapping[str, Any] = MappingProxyType({})
) -> TrainingConfig:
    """Build the configuration; the file overrides `defaults`, and the command line overrides the file."""
    try:
        values = read_config(file) if file else {}
    except InvalidParameter as error:
        raise click.BadParameter(str(error), param_hint="--config") from error
    return build(TrainingConfig, {**defaults, **values, **given(context, TrainingConfig)})


@contextmanager
def plain_errors() -> Iterator[None]:
    """Turn expected errors into a message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        yield
    except WBCError as error:
        raise click.ClickException(str(error)) from error


def _show_plan(config: TrainingConfig) -> None:
    """Print the configuration and the plan of the run."""
    from training.prepare import build_with, plan, prepare

    values = config.model_dump(mode="json")
    width = max(len(flag(name)) for name in values)
    for name, value in values.items():
        click.echo(f"{flag(name):{width}}  {value}")
    click.echo(plan(prepare(config, build_with())))


def _scores(values: Mapping[str, Any]) -> str:
    return f"validation accuracy {values['val_accuracy']:.4f}, balanced {values['val_balanced_accuracy']:.4f}"
