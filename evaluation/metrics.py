"""Classification metrics of one set of images, computed by scikit-learn over the classes that are present."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    cohen_kappa_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from evaluation.intervals import Estimate, FrozenModel, bootstrap, wilson
from evaluation.reliability import bin_rows
from wbc.labels import CLASSES

ENOUGH = 10
"""Number of images below which the scores of a class carry little information."""


class ClassScores(FrozenModel):
    """Scores of one class; an undefined one is None.

    Attributes:
        support: number of images of the class.
        answered: number of images predicted as the class.
        precision: None if the class was never predicted.
        recall, f1: None if the class is absent.
        auc: one-vs-rest; None if the class is absent or the only one.
    """

    support: int
    answered: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


class Macro(FrozenModel):
    """Unweighted averages over the named classes."""

    classes: tuple[str, ...]
    balanced_accuracy: Estimate
    macro_f1: Estimate


class Metrics(FrozenModel):
    """All scores of one set of images.

    Attributes:
        images: number of images.
        accuracy: with Wilson's interval.
        present: macro averages over the classes with an image.
        ten_or_more: macro averages over the classes with `ENOUGH` images; None if there is none.
        kappa: Cohen's; None if truth and predictions are one and the same class.
        majority_class: the most frequent class.
        majority_baseline: accuracy of always predicting it.
        ece: expected calibration error, 15 bins of equal width.
        brier: summed over classes, 0 to 2.
        log_loss: mean cross-entropy, nats.
        confusion: truth in rows, predictions in columns, in the order of `labels.CLASSES`.
        per_class: by name, in the same order.
    """

    images: int
    accuracy: Estimate
    present: Macro
    ten_or_more: Macro | None
    kappa: float | None
    majority_class: str
    majority_baseline: float
    ece: float
    brier: float
    log_loss: float
    confusion: tuple[tuple[int, ...], ...]
    per_class: dict[str, ClassScores]


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, seed: int = 0) -> Metrics:
    """Compute all scores of predictions.

    Args:
        labels: (N,) true class indices, N at least 1.
        probabilities: (N, 5), rows sum to 1; the most probable class is the predicted one.
        seed: seed of the bootstrap.
    """
    predicted = probabilities.argmax(axis=1)
    every = np.arange(len(CLASSES))
    confusion = confusion_matrix(labels, predicted, labels=every)
    support = confusion.sum(axis=1)
    enough = support >= ENOUGH
    return Metrics(
        images=len(labels),
        accuracy=wilson(int(accuracy_score(labels, predicted, normalize=False)), len(labels)),
        present=_macro(confusion, support > 0, seed),
        ten_or_more=_macro(confusion, enough, seed) if enough.any() else None,
        kappa=_kappa(labels, predicted),
        majority_class=CLASSES[int(support.argmax())],
        majority_baseline=float(support.max() / len(labels)),
        ece=bin_rows(probabilities, labels).error,
        brier=float(brier_score_loss(labels, probabilities, labels=every, scale_by_half=False)),
        log_loss=float(log_loss(labels, np.clip(probabilities, 1e-15, 1.0), labels=every)),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        per_class=_per_class(labels, predicted, probabilities),
    )


def balanced_accuracy(confusion: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean recall of the chosen classes (C,), each with support, from (R, C, C) to (R,)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)[:, chosen]
    return np.asarray((hits / confusion.sum(axis=2)[:, chosen]).mean(axis=1))


def macro_f1(confusion: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean F1 of the chosen classes (C,), each with support, from (R, C, C) to (R,)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)[:, chosen]
    total = (confusion.sum(axis=1) + confusion.sum(axis=2))[:, chosen]
    return np.asarray((2 * hits / total).mean(axis=1))


def _macro(confusion: NDArray[np.int64], chosen: NDArray[np.bool_], seed: int) -> Macro:
    return Macro(
        classes=tuple(name for name, there in zip(CLASSES, chosen, strict=True) if there),
        balanced_accuracy=bootstrap(confusion, lambda m: balanced_accuracy(m, chosen), np.random.default_rng(seed)),
        macro_f1=bootstrap(confusion, lambda m: macro_f1(m, chosen), np.random.default_rng(seed)),
    )


def _kappa(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float | None:
    # With one class in both, agreement by chance is certain and kappa is 0/0.
    return None if len(np.union1d(labels, predicted)) == 1 else float(cohen_kappa_score(labels, predicted))


def _per_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, ClassScores]:
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(CLASSES)), zero_division=0
    )
    scores = {}
    for index, name in enumerate(CLASSES):
        truth, answered = labels == index, int((predicted == index).sum())
        there = bool(support[index])
        scores[name] = ClassScores(
            support=int(support[index]),
            answered=answered,
            precision=float(precision[index]) if answered else None,
            recall=float(recall[index]) if there else None,
            f1=float(f1[index]) if there else None,
            auc=float(roc_auc_score(truth, probabilities[:, index])) if there and not truth.all() else None,
        )
    return scores
