"""Filters side by side: runs of `wbc train` that differ in the filter alone, on `Val` and on other devices.

`make filter-comparison` trains them and writes `docs/results/filter_comparison.json`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from training.batches import MAIN
from training.dataset import prepare_all, read_split
from training.metrics import balanced_accuracy_of_larger
from training.record import TrainingRecord
from wbc.nn.classifier import build_classifier, load_backbone_weights
from wbc.preprocessing.pipeline import Preprocessor
from wbc.settings import settings


def compare(runs: list[Path], splits: list[str], data_root: Path) -> dict[str, Any]:
    """Scores of each run's model on each split, at the size that it was trained at, by filter and split."""
    found: dict[str, Any] = {}
    for run in runs:
        record = TrainingRecord.model_validate_json((run / "training.json").read_bytes())
        size = int(record.config["img_size"])
        model = build_classifier(size, input_reduction=int(record.config.get("input_reduction", 1)))
        load_backbone_weights(model, str(run / "model.keras"))
        rows = {}
        for name in splits:
            split = read_split(data_root, name)
            images = prepare_all(split, Preprocessor(record.preprocessing), size)
            answers = model.predict(images, batch_size=32, verbose=0)[MAIN].argmax(axis=1)
            hits = answers == split.labels
            rows[name] = {
                "images": len(hits),
                "accuracy": round(float(hits.mean()), 4),
                "balanced_accuracy_of_classes_with_ten_or_more": round(
                    balanced_accuracy_of_larger(split.labels, answers), 4
                ),
            }
        kept = ("weights", "img_size", "phase1_epochs", "phase2_epochs", "seed")
        found[record.preprocessing.variant] = {
            "config": {name: Path(str(record.config[name])).name for name in kept},
            "splits": rows,
        }
    return found


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--split", "splits", multiple=True, default=("Val", "TestA", "TestB-lisc", "TestB-bccd", "TestB-tecom"))
def main(runs: tuple[Path, ...], output: Path, splits: tuple[str, ...]) -> None:
    """Compare the results folders RUNS."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(compare(list(runs), list(splits), settings().data_root), indent=2) + "\n")


if __name__ == "__main__":
    main()
