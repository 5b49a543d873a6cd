"""`make head-study`: heads on the frozen backbone, compared."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import click

from training.config import TrainingConfig
from training.head_study import study, table
from wbc.settings import settings


@click.command()
@click.option("--weights", required=True, help="Weights of the frozen backbone.")
@click.option("--seeds", default=3, show_default=True, type=click.IntRange(1), help="Heads a row.")
@click.option("--epochs", default=4, show_default=True, type=click.IntRange(1), help="Of a head.")
@click.option("--features", default="runs/features", show_default=True, type=click.Path(path_type=Path))
@click.option("--limit", default=0, type=click.IntRange(0), help="Images a class of each split, for a trial.")
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--resume", is_flag=True, help="Keep rows that the output has, of the same settings and seeds.")
def main(weights: str, seeds: int, epochs: int, features: Path, limit: int, output: Path, resume: bool) -> None:
    """Compare what the network sees and learns by, on the frozen backbone."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    base = TrainingConfig(
        data_root=settings().data_root,
        weights=weights,
        phase1_epochs=epochs,
        batch_size=64,
        limit=limit,
    )
    known = json.loads(output.read_text()) if resume and output.is_file() else None
    found = study(base, range(1, seeds + 1), features, known=known)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(table(found))


if __name__ == "__main__":
    main()
