"""`wbc score`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import click

from wbc.cli.options import build, options
from wbc.score.config import ScoreConfig

NEEDED = {"local": {"pyarrow": "score"}, "ray": {"pyarrow": "score", "ray": "ray"}}
"""Optional packages of each engine and the extra that installs them."""


@click.command()
@click.argument("input", metavar="INPUT")
@options(ScoreConfig, without=["input"])
def score(**values: Any) -> None:
    """Classify the images of INPUT into Parquet files, one row per image or error.

    INPUT is a folder (searched at any depth), a text file with one path per line, or a quoted glob pattern. To resume
    an interrupted run, repeat the command: images that have a row are skipped. Images that cannot be read do not
    change the exit code; the summary counts them.
    """
    config = build(ScoreConfig, {name: value for name, value in values.items() if value is not None})
    for package, extra in NEEDED[config.engine].items():
        if find_spec(package) is None:
            raise click.ClickException(f"--engine {config.engine} needs {package}: pip install 'wbc[{extra}]'")
    from wbc.score.run import score as run

    summary = run(config, say=lambda text: click.echo(text, err=True))
    failed = sum(summary.errors.values())
    click.echo(
        f"{config.output}: {summary.images} images, {summary.skipped} had a row already, {summary.answered} "
        f"classified, {summary.flagged} of them for review, {failed} with an error; {summary.wall_s:.1f} s"
    )
    for name, count in {**summary.classes, **summary.errors}.items():
        click.echo(f"{count:>8}  {name}")
