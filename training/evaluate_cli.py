"""`wbc evaluate` and `wbc differential`."""

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
@click.option("--rejection/--no-rejection", default=True, show_default=True, help="Measure unknown images as well.")
@click.option("--write-bundle", is_flag=True, help="Write evaluation.json and MODEL_CARD.md into the bundle.")
def evaluate(model_path: Path | None, data_root: Path | None, write_bundle: bool, **options: Any) -> None:
    """Measure a model on every labelled test folder, on exactly the path that is served.

    Prints the tables; writes reports, pictures, predictions and metrics of each domain, evaluation.json and
    report.html into the output folder.
    """
    from rich.console import Console

    from training.evaluate import EvaluationConfig
    from training.evaluate import evaluate as run
    from training.evaluation.console import tables

    config = EvaluationConfig(
        model_path=model_path or settings().bundle, data_root=data_root or settings().data_root, **options
    )
    console = Console(highlight=False)
    found = run(config, say=lambda text: click.echo(text, err=True))
    for table in tables(found.result):
        console.print(table)
    if write_bundle:
        from training.card import write_into_bundle

        write_into_bundle(config.model_path, found.result)
    click.echo(f"{config.output_dir}: written")
