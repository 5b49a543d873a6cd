"""Scores on the validation split, comparison of epochs, and the counts that decide when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, f1_score, recall_score

Row = dict[str, Any]


def scores(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Compute accuracy, balanced accuracy and macro F1 (over the classes present), and cross-entropy in nats.

    Args:
        logits: (N, C).
        labels: (N,), class indices.
    """
    predicted = logits.argmax(axis=1)
    present = {"labels": np.unique(labels), "average": "macro"}
    log_probability = log_softmax(logits.astype(np.float64), axis=1)
    return {
        "val_accuracy": float(accuracy_score(labels, predicted)),
        "val_balanced_accuracy": float(recall_score(labels, predicted, **present)),
        "val_macro_f1": float(f1_score(labels, predicted, **present)),
        "val_loss": float(-log_probability[np.arange(len(labels)), labels].mean()),
    }


def better(row: Row, best: Row | None) -> bool:
    """Return true if an epoch has the higher balanced accuracy, or an equal one and the lower cross-entropy."""
    return best is None or _rank(row) > _rank(best)


def _rank(row: Row) -> tuple[float, float]:
    return row["val_balanced_accuracy"], -row["val_loss"]


def epochs_without_better(rows: Sequence[Row]) -> int:
    """Return the number of epochs of a phase after its best one."""
    return len(rows) - 1 - max(range(len(rows)), key=lambda index: _rank(rows[index])) if rows else 0


def reductions(rows: Sequence[Row], patience: int) -> int:
    """Return the number of learning-rate reductions in a phase: one after every `patience` epochs without a better."""
    best, waited, count = None, 0, 0
    for row in rows:
        if better(row, best):
            best, waited = row, 0
        else:
            waited += 1
        if waited >= patience:
            count, waited = count + 1, 0
    return count


def checks_below(rows: Sequence[Row], threshold: float) -> int:
    """Return the number of most recent focus checks in a row with a mean ratio below the threshold.

    Epochs without a check and checks without a ratio are ignored.
    """
    streak = 0
    for row in rows:
        if (ratio := row.get("focus")) is not None:
            streak = streak + 1 if ratio < threshold else 0
    return streak
