"""`wbc evaluate` and `wbc calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wbc.settings import settings

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--model-path", type=click.Path(path_type=Path), help="Folder of a bundle, or a .keras file.  [default: WBC_BUNDLE]"
)
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option(
    "--output-dir",
    type=FOLDER,
    default=Path("outputs/evaluation"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--split", "splits", multiple=True, help="Split to evaluate, can be repeated.  [default: every Test*]")
@click.option(
    "--testb-binary-mode",
    "binary_mode",
    type=click.Choice(["none", "main", "aux"]),
    default="none",
    show_default=True,
    help="Also evaluate each TestB* under a declared label set of lymphocytes and neutrophils, decided by this head.",
)
@click.option(
    "--tta", type=click.Choice(["none", "light", "auto"]), help="Test-time augmentation.  [default: bundle's]"
)
@click.option(
    "--color-normalization", type=click.Choice(["none", "reinhard"]), help="Colour normalisation.  [default: bundle's]"
)
@click.option(
    "--preprocessing",
    type=click.Choice(["none", "v1", "v2", "v3", "v4"]),
    help="Variant of the filter.  [default: bundle's]",
)
@click.option("--framing", type=click.Choice(["cell", "off"]), help="Framing of the cell.  [default: bundle's]")
@click.option(
    "--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Maximum views in a forward pass."
)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Maximum images per class; 0 takes all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the bootstrap and of generated images.")
@click.option("--ablation", is_flag=True, help="Also measure each step of the adaptation and each filter; takes long.")
@click.option(
    "--ablation-limit", type=click.IntRange(min=0), default=0, help="Maximum images per class for that; 0 is --limit."
)
@click.option(
    "--rejection/--no-rejection",
    default=True,
    show_default=True,
    help="Also measure images that show none of the classes.",
)
@click.option("--write-bundle", is_flag=True, help="Write evaluation.json and MODEL_CARD.md into the bundle.")
def evaluate(model_path: Path | None, data_root: Path | None, **options: Any) -> None:
    """Measure a model on labelled images with the pipeline that is served.

    Prints tables; writes evaluation.json and report.html into the output folder, and a report, plots, predictions
    and metrics for each split. WBC_GRAPH, WBC_DEVICE, WBC_THREADS and WBC_TTA apply as for the service.
    """
    from evaluation.config import EvaluationConfig
    from evaluation.evaluate import evaluate as run
    from evaluation.tables import make_tables

    config = EvaluationConfig(
        model_path=model_path or settings().bundle, data_root=data_root or settings().data_root, **options
    )
    result = run(config, say=lambda text: click.echo(text, err=True))
    for name, table in make_tables(result).items():
        if name != "recalls":  # a part of the table of classes
            click.echo(f"{table.text()}\n")
    click.echo(f"{config.output_dir}: written")


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option("--train-split", default="Train", show_default=True, help="Folder of the training images.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Maximum Val images per class; 0 takes all.")
def calibrate(bundle: Path, data_root: Path | None, train_split: str, limit: int) -> None:
    """Fit the temperatures, review thresholds and embedding statistics of BUNDLE in place, as export does.

    Val and unclassifiable/Train are read, no test split. An existing evaluation and model card become invalid.
    """
    from evaluation.calibrate import CalibrationConfig
    from evaluation.calibrate import calibrate as fit
    from wbc.bundle import Bundle

    if (graph := settings().graph) != "fp32":
        raise click.ClickException(
            f"WBC_GRAPH is {graph}; the graphs of a bundle share what is fitted on fp32: unset it"
        )
    config = CalibrationConfig(data_root or settings().data_root, sources=(train_split,), limit=limit)
    manifest = fit(Bundle.load(bundle), config).manifest
    click.echo(f"{bundle}: temperature {manifest.temperature:g}, {manifest.review}")
