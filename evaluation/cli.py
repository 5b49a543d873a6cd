"""`wbc evaluate` and `wbc calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wbc.settings import settings

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--model-path", type=click.Path(path_type=Path), help="A bundle's folder, or a .keras file.  [default: WBC_BUNDLE]"
)
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option(
    "--output-dir", type=FOLDER, default=Path("outputs/evaluation"), show_default=True, help="Where to write."
)
@click.option("--split", "splits", multiple=True, help="A folder to evaluate, may be repeated.  [default: every Test*]")
@click.option(
    "--testb-binary-mode",
    "binary_mode",
    type=click.Choice(["none", "main", "aux"]),
    default="none",
    show_default=True,
    help="Add a row to each TestB*, under a declared label set of lymphocytes and neutrophils, decided by this head.",
)
@click.option("--tta", type=click.Choice(["none", "light", "auto"]), help="Views.  [default: the bundle's]")
@click.option(
    "--color-normalization", type=click.Choice(["none", "reinhard"]), help="Before the filter.  [default: the bundle's]"
)
@click.option(
    "--preprocessing",
    type=click.Choice(["none", "v1", "v2", "v3", "v4"]),
    help="Variant of the filter.  [default: the bundle's]",
)
@click.option("--framing", type=click.Choice(["cell", "off"]), help="Frame the cell.  [default: the bundle's]")
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Views a forward pass.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Images a class; 0 takes all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap and of generated images.")
@click.option("--ablation", is_flag=True, help="Measure each step of the adaptation and each filter; takes long.")
@click.option("--ablation-limit", type=click.IntRange(min=0), default=0, help="Images a class for that; 0 is --limit.")
@click.option("--rejection/--no-rejection", default=True, show_default=True, help="Measure unknown images as well.")
@click.option("--write-bundle", is_flag=True, help="Write evaluation.json and MODEL_CARD.md into the bundle.")
def evaluate(model_path: Path | None, data_root: Path | None, write_bundle: bool, **options: Any) -> None:
    """Measure a model on every labelled test folder, on exactly the path that is served.

    Prints the tables; writes reports, pictures, predictions and metrics of each domain, evaluation.json and
    report.html into the output folder.
    """
    from rich.console import Console

    from evaluation.config import EvaluationConfig
    from evaluation.console import tables
    from evaluation.evaluate import evaluate as run

    config = EvaluationConfig(
        model_path=model_path or settings().bundle, data_root=data_root or settings().data_root, **options
    )
    console = Console(highlight=False)
    found = run(config, say=lambda text: click.echo(text, err=True))
    for table in tables(found.result):
        console.print(table)
    if write_bundle:
        from evaluation.model_card import write_into_bundle

        write_into_bundle(config.model_path, found.result)
    click.echo(f"{config.output_dir}: written")


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option("--train-split", default="Train", show_default=True, help="Folder of the training images.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Val images a class; 0 takes all.")
def calibrate(bundle: Path, data_root: Path | None, train_split: str, limit: int) -> None:
    """Fit the temperatures, the review limits and the statistics of the embeddings of BUNDLE anew, in place.

    Export does the same. Val fits and unclassifiable/Train chooses; no test folder is read. An evaluation or model
    card of the former manifest no longer holds and is to be written again.
    """
    from evaluation.calibrate import CalibrationConfig
    from evaluation.calibrate import calibrate as fit
    from wbc.bundle import Bundle

    config = CalibrationConfig(data_root or settings().data_root, sources=(train_split,), limit=limit)
    manifest = fit(Bundle.load(bundle), config).manifest
    click.echo(f"{bundle}: temperature {manifest.temperature:g}, {manifest.review}")
