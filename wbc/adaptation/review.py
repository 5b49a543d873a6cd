"""Which answers a person has to look at, and why."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

ReasonCode = Literal["low_confidence", "poor_image"]


class ReviewReason(BaseModel):
    """One reason to look: a stable code and a sentence."""

    model_config = ConfigDict(frozen=True)

    code: ReasonCode
    text: str


class ReviewThresholds(BaseModel):
    """Limits past which an answer is flagged; fitted on `Val`, kept in the bundle.

    Attributes:
        min_confidence: least calibrated confidence, 0 to 1, that is left unflagged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_confidence: float = Field(ge=0, le=1)


def fit_min_confidence(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], accepted_error: float = 0.002, least: float = 0.6
) -> float:
    """The lowest confidence above which at most `accepted_error` of the answers are wrong, and at least `least`.

    Args:
        confidence: (N,) calibrated, 0 to 1.
        correct: (N,) whether the answer was right.
        accepted_error: share of wrong answers among the unflagged.
        least: floor; below it an answer is a guess whatever the sample says.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    errors = np.cumsum(~np.asarray(correct)[order]) / np.arange(1, len(order) + 1)
    accepted = np.flatnonzero(errors <= accepted_error)
    lowest = float(confidence[order[accepted[-1]]]) if len(accepted) else 1.0
    return round(max(lowest, least), 4)
