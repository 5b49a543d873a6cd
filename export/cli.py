"""`wbc export`."""

from __future__ import annotations

from pathlib import Path

import click

from wbc.settings import settings


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the bundle.  [default: WBC_BUNDLE]"
)
@click.option(
    "--data-root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the splits.  [default: WBC_DATA_ROOT]",
)
@click.option("--name", default="densenet121-wbc", show_default=True, help="Name of the bundle.")
@click.option("--bundle-version", default="1", show_default=True, help="Version of the bundle.")
@click.option("--half/--single", default=True, show_default=True, help="Round the weights to half precision, or not.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Val images a class; 0 takes all.")
def export(
    run: Path, *, output: Path | None, data_root: Path | None, name: str, bundle_version: str, half: bool, limit: int
) -> None:
    """Turn the training run in folder RUN into a model bundle.

    Converts to ONNX, compares both graphs on Val images, fits temperature and review threshold on Val, and writes
    the bundle only if everything holds.
    """
    from export.bundle import ExportConfig, export_bundle

    bundle = export_bundle(
        ExportConfig(
            run=run,
            output=output or settings().bundle,
            data_root=data_root or settings().data_root,
            name=name,
            version=bundle_version,
            half=half,
            limit=limit,
        )
    )
    parity = bundle.manifest.parity
    click.echo(
        f"{bundle.path}: {bundle.manifest.name} {bundle.manifest.version}, parity over {parity['images']:.0f} images "
        f"{parity['logits']:.1e} logits, {parity['cam']:.1e} maps, temperature {bundle.manifest.temperature:g}"
    )
