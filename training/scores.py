"""What an epoch is judged by: scores on the validation split, which epoch is better, and when to give up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = dict[str, Any]


def scores(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro F1 (over the classes present), and cross-entropy in nats.

    Args:
        logits: (N, C).
        labels: (N,), class indices.
    """
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_probability = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    confusion = np.zeros((logits.shape[1], logits.shape[1]))
    np.add.at(confusion, (labels, logits.argmax(axis=1)), 1)
    truth, answered, hits = confusion.sum(axis=1), confusion.sum(axis=0), confusion.diagonal()
    there = truth > 0
    return {
        "val_accuracy": float(hits.sum() / len(labels)),
        "val_balanced_accuracy": float((hits[there] / truth[there]).mean()),
        "val_macro_f1": float((2 * hits[there] / (truth + answered)[there]).mean()),
        "val_loss": float(-log_probability[np.arange(len(labels)), labels].mean()),
    }


def better(row: Row, best: Row | None) -> bool:
    """Whether an epoch is to be preferred to the best so far.

    Val accuracy saturates; of equally accurate epochs the one that is surest of the truth is kept.
    """
    return best is None or (row["val_balanced_accuracy"], -row["val_loss"]) > (
        best["val_balanced_accuracy"],
        -best["val_loss"],
    )


def epochs_without_better(rows: Sequence[Row]) -> int:
    """Epochs of a phase since its best one."""
    best, since = None, 0
    for row in rows:
        if better(row, best):
            best, since = row, 0
        else:
            since += 1
    return since


def reductions(rows: Sequence[Row], patience: int) -> int:
    """Reductions of the learning rate after the epochs of a phase: one every `patience` epochs without a better one."""
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
    """Focus checks in a row, up to the last, whose mean ratio was below the threshold.

    An epoch without a check, or a check without a ratio, neither adds to the streak nor breaks it.
    """
    streak = 0
    for row in rows:
        rho = row.get("focus")
        if rho is not None:
            streak = streak + 1 if rho < threshold else 0
    return streak
