"""Telling what should not be answered: detection of unknown images, and risk against coverage."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import roc_auc_score

from evaluation.intervals import Estimate, wilson

ACCEPTED_ERROR = 0.01


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Coverage(_Result):
    """How much can be answered.

    Attributes:
        accepted_error: share of wrong answers that is accepted.
        coverage: the largest share of images, surest first, among which no more are wrong.
        area: area under the risk-coverage curve; 0 is perfect.
    """

    accepted_error: float
    coverage: float
    area: float


class Detection(_Result):
    """How well one score tells unknown images from known ones; unknown is what is to be found.

    Attributes:
        score: what it is decided by.
        auroc: area under the ROC curve; 0.5 is chance.
        fpr95: share of known images that is flagged when 95% of the unknown ones are.
    """

    score: Literal["confidence", "distance"]
    auroc: float
    fpr95: float


class UnknownResult(_Result):
    """One group of images that show none of the five classes.

    Attributes:
        group: which.
        images: how many.
        detections: by each score, against the known images.
        flagged: share that is flagged for review by the bundle's thresholds, any reason.
        flagged_by: the same by reason.
    """

    group: str
    images: int
    detections: tuple[Detection, ...]
    flagged: Estimate
    flagged_by: dict[str, Estimate]


class Rejection(_Result):
    """Rejection of unknown images.

    Attributes:
        known: the split of known images.
        known_images: how many.
        known_flagged: share of them that is flagged: what rejection costs.
        known_flagged_by: the same by reason.
        unknown: group by group.
    """

    known: str
    known_images: int
    known_flagged: Estimate
    known_flagged_by: dict[str, Estimate]
    unknown: tuple[UnknownResult, ...]


def detection(
    score: Literal["confidence", "distance"], known: NDArray[np.float64], unknown: NDArray[np.float64]
) -> Detection:
    """How well a score, larger for the unknown, tells the two apart.

    Args:
        score: its name.
        known: (N,) values of known images.
        unknown: (M,) values of unknown images.
    """
    truth = np.concatenate([np.zeros(len(known)), np.ones(len(unknown))])
    # The largest threshold that still finds 95% of the unknown: the 95% are counted, not interpolated.
    needed = int(np.ceil(0.95 * len(unknown)))
    threshold = np.sort(unknown)[::-1][needed - 1]
    return Detection(
        score=score,
        auroc=float(roc_auc_score(truth, np.concatenate([known, unknown]))),
        fpr95=float((known >= threshold).mean()),
    )


def risk_coverage(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coverage and risk when the surest 1, 2, ... answers are given; answers of the same confidence come together.

    Returns:
        Coverage (K,), rising to 1, and risk (K,): the share of wrong answers among those given.
    """
    order = np.argsort(-confidence, kind="stable")
    given = np.arange(1, len(order) + 1)
    risk = np.cumsum(~correct[order]) / given
    last = np.append(np.diff(confidence[order]) != 0, True)
    return given[last] / len(order), risk[last]


def coverage(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], accepted_error: float = ACCEPTED_ERROR
) -> Coverage:
    """The largest coverage at an accepted error, and the area under the risk-coverage curve."""
    covered, risk = risk_coverage(confidence, correct)
    within = covered[risk <= accepted_error]
    steps = np.diff(covered, prepend=0.0)
    return Coverage(
        accepted_error=accepted_error,
        coverage=float(within.max()) if len(within) else 0.0,
        area=float((risk * steps).sum()),
    )


def share(flags: NDArray[np.bool_]) -> Estimate:
    """A share of flagged images with its interval."""
    return wilson(int(flags.sum()), len(flags))
