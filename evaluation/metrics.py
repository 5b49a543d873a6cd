"""What is measured of the answers for one set of images. scikit-learn computes; this file says over which classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from evaluation.intervals import Estimate, bootstrap, wilson
from evaluation.reliability import bins, brier
from wbc.labels import CLASSES

ENOUGH = 10
"""Images below which a class says little about a macro average."""


class ClassScores(BaseModel):
    """One class; what cannot be computed is None, never 0.

    Attributes:
        support: images of the class.
        answered: images that were answered with the class.
        precision: None where the class was never answered.
        recall: None where the class is absent.
        f1: None where the class is absent.
        auc: one against the rest; None where the class is absent or the only one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    support: int
    answered: int
    precision: float | None
    recall: float | None
    f1: float | None
    auc: float | None


class Macro(BaseModel):
    """Averages over classes, each class weighing the same, with the classes they run over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    classes: tuple[str, ...]
    balanced_accuracy: Estimate
    macro_f1: Estimate


class Metrics(BaseModel):
    """All scores of one set of images.

    Attributes:
        images: how many.
        accuracy: with Wilson's interval.
        present: macro averages over the classes that have an image.
        ten_or_more: the same over the classes with `ENOUGH` images; None where no class has as many.
        kappa: Cohen's; None where truth and answers are one and the same single class.
        majority_class: the most frequent class.
        majority_baseline: accuracy of answering it always.
        ece: expected calibration error, 15 bins of equal width.
        brier: summed over classes, 0 to 2.
        log_loss: mean cross-entropy, nats.
        confusion: truth in rows, answers in columns, in the order of `labels.CLASSES`.
        per_class: by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

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
    per_class: dict[str, ClassScores] = Field(description="by name, in the order of the classes")

    @property
    def chance_exceeded(self) -> bool:
        """Whether the accuracy is above that of always answering the most frequent class."""
        return self.accuracy.value > self.majority_baseline


def measure(labels: NDArray[np.int64], probabilities: NDArray[np.float64], *, seed: int = 0) -> Metrics:
    """All scores of answers.

    Args:
        labels: (N,) true class indices, N at least 1.
        probabilities: (N, 5), rows sum to 1; the answer is the most probable class.
        seed: of the bootstrap.
    """
    answers = probabilities.argmax(axis=1)
    every = np.arange(len(CLASSES))
    confusion = confusion_matrix(labels, answers, labels=every)
    support = confusion.sum(axis=1)
    enough = support >= ENOUGH
    return Metrics(
        images=len(labels),
        accuracy=wilson(int(accuracy_score(labels, answers, normalize=False)), len(labels)),
        present=_macro(confusion, support > 0, seed),
        ten_or_more=_macro(confusion, enough, seed) if enough.any() else None,
        kappa=_kappa(labels, answers),
        majority_class=CLASSES[int(support.argmax())],
        majority_baseline=float(support.max() / len(labels)),
        ece=bins(probabilities.max(axis=1), answers == labels).error,
        brier=brier(probabilities, labels),
        log_loss=float(log_loss(labels, np.clip(probabilities, 1e-15, 1.0), labels=every)),
        confusion=tuple(tuple(int(v) for v in row) for row in confusion),
        per_class=_per_class(labels, answers, probabilities),
    )


def balanced_accuracy_of_larger(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    """Mean recall of the classes with at least `ENOUGH` images, of class indices (N,); one at least has as many."""
    confusion = confusion_matrix(labels, answers, labels=range(len(CLASSES)))
    return float(balanced_accuracy(confusion[None], confusion.sum(axis=1) >= ENOUGH)[0])


def balanced_accuracy(confusion: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean recall of the chosen classes, each with support, from (R, C, C) to (R,)."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)[:, chosen]
    return np.asarray((hits / confusion.sum(axis=2)[:, chosen]).mean(axis=1))


def macro_f1(confusion: NDArray[np.int64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean F1 of the chosen classes, each with support, from (R, C, C) to (R,); wrong answers of any class count."""
    hits = np.diagonal(confusion, axis1=1, axis2=2)[:, chosen]
    total = (confusion.sum(axis=1) + confusion.sum(axis=2))[:, chosen]
    return np.asarray((2 * hits / total).mean(axis=1))


def _macro(confusion: NDArray[np.int64], chosen: NDArray[np.bool_], seed: int) -> Macro:
    return Macro(
        classes=tuple(name for name, there in zip(CLASSES, chosen, strict=True) if there),
        balanced_accuracy=bootstrap(confusion, lambda m: balanced_accuracy(m, chosen), np.random.default_rng(seed)),
        macro_f1=bootstrap(confusion, lambda m: macro_f1(m, chosen), np.random.default_rng(seed)),
    )


def _kappa(labels: NDArray[np.int64], answers: NDArray[np.int64]) -> float | None:
    # Where both name one class alone, agreement by chance is certain and kappa is 0/0.
    if len(np.union1d(labels, answers)) == 1:
        return None
    return float(cohen_kappa_score(labels, answers))


def _per_class(
    labels: NDArray[np.int64], answers: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> dict[str, ClassScores]:
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, answers, labels=np.arange(len(CLASSES)), zero_division=0
    )
    scores = {}
    for index, name in enumerate(CLASSES):
        truth, answered = labels == index, int((answers == index).sum())
        there = bool(support[index])
        both = there and not truth.all()
        scores[name] = ClassScores(
            support=int(support[index]),
            answered=answered,
            precision=float(precision[index]) if answered else None,
            recall=float(recall[index]) if there else None,
            f1=float(f1[index]) if there else None,
            auc=float(roc_auc_score(truth, probabilities[:, index])) if both else None,
        )
    return scores
