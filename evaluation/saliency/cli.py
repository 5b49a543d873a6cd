"""`wbc check-saliency`."""

from __future__ import annotations

from pathlib import Path

import click

from wbc.settings import settings

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("check-saliency")
@click.option("--bundle", type=FOLDER, help="Folder of the bundle.  [default: WBC_BUNDLE]")
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option(
    "--masks",
    type=FOLDER,
    help="Folder of the hand-drawn masks of TestB-tecom.  [default: masks/tecom next to the folder of the splits]",
)
@click.option("--output", type=FILE, required=True, help="JSON file for the results.")
@click.option("--document", type=FILE, help="Markdown file whose cog blocks are updated with the results.")
@click.option("--figures", type=FOLDER, help="Folder for the plots.")
@click.option("--images", type=click.IntRange(min=5), default=200, show_default=True, help="Number of images of Val.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of every draw.")
def check_saliency(
    *,
    bundle: Path | None,
    data_root: Path | None,
    masks: Path | None,
    output: Path,
    document: Path | None,
    figures: Path | None,
    images: int,
    seed: int,
) -> None:
    """Check the class activation maps.

    Agreement of both forms of Grad-CAM, parameter randomisation, insertion and deletion curves, energy on hand-drawn
    masks, background swaps, and the focus flag. The results are always written; the exit code is 1 if the forms
    disagree or the maps do not depend on the parameters. WBC_GRAPH, WBC_DEVICE and WBC_THREADS apply.
    """
    from evaluation.saliency import checks, tables

    root = data_root or settings().data_root
    config = checks.CheckConfig(
        bundle=bundle or settings().bundle,
        data_root=root,
        masks=masks or root.parent / "masks" / "tecom",
        images=images,
        seed=seed,
    )
    checks.write(checks.check(config, lambda name: click.echo(f"{name} ...", err=True)), output)
    results = checks.read(output)
    if figures is not None:
        from evaluation.saliency.figures import draw_all

        draw_all(results, config.bundle, figures)
    if document is not None:
        tables.update(document, output)
    click.echo(tables.summarise(results).text())
    if failed := checks.failures(results):
        raise click.ClickException(f"{', '.join(failed)} failed; see {output}")
