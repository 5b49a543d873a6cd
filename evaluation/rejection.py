"""Selective prediction and out-of-distribution detection: risk against coverage, AUROC and FPR95."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from evaluation.intervals import Estimate, FrozenModel, wilson

ACCEPTED_ERROR = 0.01

Score = Literal["confidence", "distance"]


class Coverage(FrozenModel):
    """Selective prediction.

    Attributes:
        accepted_error: accepted share of misclassified images.
        coverage: the largest share of images, most confident first, with no larger error.
        area: area under the risk-coverage curve; 0 is perfect.
    """

    accepted_error: float
    coverage: float
    area: float


class Detection(FrozenModel):
    """Detection of out-of-distribution images by one score.

    Attributes:
        score: the score.
        auroc: area under the ROC curve; 0.5 is chance.
        fpr95: share of known images above the threshold that detects 95% of the others.
    """

    score: Score
    auroc: float
    fpr95: float


class UnknownResult(FrozenModel):
    """Results for one group of images that show none of the classes.

    Attributes:
        group: name of the group.
        images: number of images.
        detections: by score, against the known images.
        flagged: share flagged for review.
        flagged_by: the same by reason.
    """

    group: str
    images: int
    detections: tuple[Detection, ...]
    flagged: Estimate
    flagged_by: dict[str, Estimate]


class Rejection(FrozenModel):
    """Rejection of images that show none of the classes.

    Attributes:
        known: split of the known images.
        known_images: number of these.
        known_flagged: share of these flagged for review.
        known_flagged_by: the same by reason.
        unknown: results by group.
    """

    known: str
    known_images: int
    known_flagged: Estimate
    known_flagged_by: dict[str, Estimate]
    unknown: tuple[UnknownResult, ...]


def measure_detection(score: Score, known: NDArray[np.float64], unknown: NDArray[np.float64]) -> Detection:
    """Measure detection by a score of known images (N,) that is larger for out-of-distribution images (M,)."""
    truth = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    # The largest threshold that detects 95%, counted and not interpolated.
    threshold = np.sort(unknown)[::-1][int(np.ceil(0.95 * len(unknown))) - 1]
    return Detection(
        score=score,
        auroc=float(roc_auc_score(truth, np.concatenate([known, unknown]))),
        fpr95=float((known >= threshold).mean()),
    )


def risk_coverage(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coverage (K,), rising to 1, and risk (K,), the misclassified share, of predictions (N,).

    Equal confidences form one point of the curve.
    """
    order = np.argsort(-confidence, kind="stable")
    covered = np.arange(1, len(order) + 1)
    risk = np.cumsum(~correct[order]) / covered
    last = np.append(np.diff(confidence[order]) != 0, True)
    return covered[last] / len(order), risk[last]


def measure_coverage(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], accepted_error: float = ACCEPTED_ERROR
) -> Coverage:
    """Return the largest coverage at an accepted error, and the area under the risk-coverage curve."""
    covered, risk = risk_coverage(confidence, correct)
    within = covered[risk <= accepted_error]
    steps = np.diff(covered, prepend=0.0)
    return Coverage(
        accepted_error=accepted_error,
        coverage=float(within.max()) if len(within) else 0.0,
        area=float((risk * steps).sum()),
    )


def share(flags: NDArray[np.bool_]) -> Estimate:
    """Return the share of flagged images, of flags (N,)."""
    return wilson(int(flags.sum()), len(flags))
