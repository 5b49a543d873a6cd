"""`wbc score`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from wbc.settings import settings

NEEDED = {"local": {"pyarrow": "score"}, "ray": {"pyarrow": "score", "ray": "ray"}}
"""Optional packages of each engine, and the extra that brings them."""


@click.command()
@click.argument("input", metavar="INPUT")
@click.option(
    "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the Parquet parts."
)
@click.option(
    "--bundle",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the model bundle.  [default: WBC_BUNDLE]",
)
@click.option(
    "--engine",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="This process, or actors on Ray.",
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, show_default=True, help="Views a forward pass.")
@click.option(
    "--workers",
    type=click.IntRange(min=0),
    default=0,
    help="local: threads that decode and prepare; ray: actors. 0 is one a core.",
)
@click.option("--ray-address", help="A running Ray cluster.  [default: one is started on this machine]")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Add time and images a second to a JSON file."
)
def score(
    *,
    input: str,
    output: Path,
    bundle: Path | None,
    report: Path | None,
    batch_size: int,
    **options: Any,
) -> None:
    """Classify the images that INPUT names into Parquet files: a row an image, or a row with its error.

    INPUT is a folder (at any depth), a text file with a path a line, or a quoted glob. Run the same command again after
    it was stopped, in whatever way: images that have a row are skipped. Images that cannot be read do not change the
    exit code; the summary counts them.
    """
    _check_installed(options["engine"])
    from wbc.bundle import Bundle
    from wbc.score.rows import ScorerConfig
    from wbc.score.run import ScoreConfig, write_report
    from wbc.score.run import score as run

    chosen = settings()
    scorer = ScorerConfig(
        Bundle.load(bundle or chosen.bundle),
        graph=chosen.graph,
        device=chosen.device,
        threads=chosen.threads,
        batch_size=batch_size,
    )
    config = ScoreConfig(input, output, scorer, **options)
    summary = run(config, say=lambda text: click.echo(text, err=True))
    failed = sum(summary.errors.values())
    click.echo(
        f"{output}: {summary.images} images, {summary.skipped} had a row already, {summary.answered} answered, "
        f"{summary.flagged} of them for review, {failed} with an error; {summary.wall_s:.1f} s"
    )
    for name, count in {**summary.classes, **summary.errors}.items():
        click.echo(f"{count:>8}  {name}")
    if report is not None:
        write_report(report, config, summary)


def _check_installed(engine: str) -> None:
    """Name the extra where a package is missing."""
    for package, extra in NEEDED[engine].items():
        if find_spec(package) is None:
            raise click.ClickException(f"--engine {engine} needs {package}: pip install 'wbc[{extra}]'")
