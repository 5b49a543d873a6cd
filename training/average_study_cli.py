"""`make average-study`: runs, their start and their means, compared."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from training.average_study import study
from training.head_study import table


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
def main(runs: tuple[Path, ...], output: Path) -> None:
    """Compare RUNS, their start and their means."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = study(runs)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(table(found))


if __name__ == "__main__":
    main()
