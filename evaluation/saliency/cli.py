"""`wbc check-saliency`."""

from __future__ import annotations

from pathlib import Path

import click

from wbc.settings import settings

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("check-saliency")
@click.option("--bundle", type=FOLDER, help="Folder of the model bundle.  [default: WBC_BUNDLE]")
@click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: WBC_DATA_ROOT]")
@click.option(
    "--masks",
    type=FOLDER,
    help="Hand-drawn masks of TestB-tecom.  [default: masks/tecom beside the folder of the splits]",
)
@click.option("--output", type=FILE, required=True, help="Where the results are written, JSON.")
@click.option("--document", type=FILE, help="A Markdown file whose part between the results' marks is replaced.")
@click.option("--figures", type=FOLDER, help="Folder for the plots.")
@click.option("--images", type=click.IntRange(min=5), default=200, show_default=True, help="Images of Val.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of every draw.")
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
    """Measure whether the class activation maps can be trusted.

    Agreement of both forms of Grad-CAM, parameter randomisation, insertion and deletion curves, energy on hand-drawn
    masks, background swaps, and the focus flag. The results are written whatever they are; the exit code is 1 where
    the forms disagree or the maps do not depend on the parameters.
    """
    from evaluation.saliency import checks
    from evaluation.saliency.document import replace_results, summary

    root = data_root or settings().data_root
    config = checks.CheckConfig(
        bundle=bundle or settings().bundle,
        data_root=root,
        masks=masks or root.parent / "masks" / "tecom",
        images=images,
        seed=seed,
        threads=settings().threads,
    )
    checks.write(checks.check(config, lambda what: click.echo(f"{what} ...", err=True)), output)
    results = checks.read(output)
    if figures is not None:
        from evaluation.saliency.figures import draw_all

        draw_all(results, config.bundle, figures)
    if document is not None:
        replace_results(document, results)
    click.echo(summary(results))
    if failed := checks.failures(results):
        raise click.ClickException(f"{', '.join(failed)} failed; {output} says how")
