"""`make bento-sizes`: measure the Bentos and renew the table of docs/operations.md."""

from __future__ import annotations

from pathlib import Path

import click

from benchmarks import record
from benchmarks.bento import SPECS, BentoResult, Variant, measure_bentos, table, with_table
from benchmarks.machine import Machine
from wbc.settings import REPOSITORY

RESULT = REPOSITORY / "results" / "bench" / "bento.json"
DOCUMENT = REPOSITORY / "docs" / "operations.md"


@click.command()
@click.option(
    "--variant", "variants", multiple=True, type=click.Choice(list(SPECS)), help="Repeatable.  [default: all]"
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Elsewhere, and no document renewed.")
def sizes(*, variants: tuple[Variant, ...], output: Path | None) -> None:
    """Build, install and serve each variant once, in environments of their own that are deleted again."""
    result = measure_bentos(variants or tuple(SPECS), Machine.here())
    record.write(result, output or RESULT)
    if output is None:
        DOCUMENT.write_text(with_table(DOCUMENT.read_text(), record.read(BentoResult, RESULT)))
    click.echo(table(result))


if __name__ == "__main__":
    sizes()
