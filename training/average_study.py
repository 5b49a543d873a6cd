"""What averaging runs gives, and how far back to their start to go.

`make average-study` runs it and writes docs/results/average_study.json.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.average import mean_model, move_to, read_runs
from training.batches import MAIN
from training.cache import ImageCache
from training.config import TrainingConfig
from training.dataset import domains, prepare_all, read_split
from training.head_study import leave_one_out
from training.metrics import balanced_accuracy_of_larger
from training.prepare import data_of
from wbc.preprocessing.pipeline import Preprocessor

log = logging.getLogger("wbc.training")

SHARES = (0.0, 0.25, 0.5, 0.75)
"""Of the start in the mean."""

Sets = dict[str, tuple[NDArray[np.uint8], NDArray[np.int64]]]
"""Prepared images of each split and their labels."""


def study(folders: Sequence[Path], *, shares: Sequence[float] = SHARES) -> dict[str, Any]:
    """Score runs, their start and their means on `Val` and on each other device, one view an image.

    Args:
        folders: results folders of finished runs that began with the same weights.
        shares: of the start, that are tried in the mean.

    Returns:
        `rows`: by row and split the balanced accuracy, one number a run where the row is the runs; `accuracy`: the
        same of accuracy; `left_out`: by device the row that the other devices would choose, and what it scores there.

    Raises:
        InvalidParameter: the runs have no mean (see `training.average.average_runs`).
    """
    records = read_runs(folders)
    config = TrainingConfig.model_validate(records[0].config)
    start, models = Path(config.weights), [folder / "model.keras" for folder in folders]
    devices = [name for name in domains(config.data_root) if not name.endswith("TestA")]
    preprocessor, sets = Preprocessor(records[0].preprocessing), Sets()
    cache = ImageCache(config.cache_dir)
    for split in (data_of(config, cache).val, *(read_split(config.data_root, name, config.limit) for name in devices)):
        sets[split.name] = (prepare_all(split, preprocessor, config.img_size, cache=cache), split.labels)
    answers = {
        "start": [_answers(keras.saving.load_model(start, compile=False), sets)],
        "run": [_answers(keras.saving.load_model(model, compile=False), sets) for model in models],
    }
    for share in shares:
        model = mean_model(models)
        move_to(model, start, share)
        answers[f"mean, {share:.0%} start" if share else "mean"] = [_answers(model, sets)]
    rows = {
        name: {
            split: [balanced_accuracy_of_larger(labels, found[split]) for found in several]
            for split, (_, labels) in sets.items()
        }
        for name, several in answers.items()
    }
    return {
        "seeds": [record.config["seed"] for record in records],
        "rows": rows,
        "accuracy": {
            name: {
                split: [float((found[split] == labels).mean()) for found in several]
                for split, (_, labels) in sets.items()
            }
            for name, several in answers.items()
        },
        "left_out": leave_one_out({name: {d: found[d] for d in devices} for name, found in rows.items()}),
    }


def _answers(model: keras.Model, sets: Sets) -> dict[str, NDArray[np.int64]]:
    found = {
        split: np.asarray(model.predict(images, batch_size=32, verbose=0)[MAIN]).argmax(axis=1)
        for split, (images, _) in sets.items()
    }
    log.info("%s", {split: round(float((found[split] == labels).mean()), 4) for split, (_, labels) in sets.items()})
    return found
