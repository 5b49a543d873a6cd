"""Machine-readable results of a run: `training.json`, and `history.csv` with one row per epoch."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from wbc.atomic import replaced_atomically
from wbc.machine import package_versions
from wbc.preprocessing.pipeline import Preprocessing

VERSIONED = ("keras", "tensorflow", "jax", "numpy", "opencv-python-headless", "pillow", "scikit-learn")
"""Packages whose version a run notes, where they are installed."""


class TrainingSummary(BaseModel):
    """Configuration, data and scores of a training run.

    Attributes:
        config: the resolved configuration.
        train_counts: images a class that were learnt from.
        val_counts: images a class that the epoch was chosen by.
        best_epoch: number of the epoch whose weights were kept, counted through both phases from 1.
        val_accuracy: its share of correct answers on the validation split.
        val_balanced_accuracy: its mean recall of the classes.
        val_loss: its cross-entropy, nats.
        val_macro_f1: its mean F1 of the classes.
        wall_time_s: seconds of training and evaluation, of all parts of an interrupted run together.
        versions: of the packages, Python and the backend.
        val_held_out: whether the validation split was taken from the training split.
        unreadable: files that were left out, with the reason.
        stops: why a phase ended before its last epoch.
        parameters: weights of the model, statistics of batch norm included.
        averaged: the runs whose mean the weights are, with the seed and the scores of each; empty for a single run.
        start_share: share in that mean of the weights that the runs began with.
        left_out: scores of the recipe on sources on which it was not trained, with the correction fitted there; empty
            if that was not done.
    """

    config: dict[str, Any]
    train_counts: dict[str, int]
    val_counts: dict[str, int]
    best_epoch: int
    val_accuracy: float
    val_balanced_accuracy: float
    val_loss: float
    wall_time_s: float
    versions: dict[str, str]
    val_macro_f1: float | None = None
    val_held_out: bool = False
    unreadable: dict[str, str] = {}
    stops: dict[str, str] = {}
    parameters: int | None = None
    averaged: list[dict[str, Any]] = []
    start_share: float = 0.0
    left_out: dict[str, Any] = {}


class TrainingRecord(TrainingSummary):
    """Summary of a run with its preprocessing; `training.json` next to `model.keras`, read by export.

    Attributes:
        preprocessing: all that decides what the network sees.
    """

    preprocessing: Preprocessing


def versions(backend: str) -> dict[str, str]:
    """Versions of what the run was computed with."""
    return {**package_versions(VERSIONED), "backend": backend}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """A CSV file with a column for every key that any row has; replaced in one step."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with replaced_atomically(path) as new, new.open("w", newline="") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)
