"""Whether confidences mean what they say: calibration error, Brier score, and the bins of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Of equal width, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Answers grouped by confidence; the mean of an empty bin is NaN.

    Attributes:
        count: (B,) answers.
        confidence: (B,) their mean confidence.
        accuracy: (B,) the share that was right.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of confidence and accuracy, each bin weighted by its answers."""
        filled = self.count > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def bins(confidence: NDArray[np.floating], correct: NDArray[np.bool_], number: int = BINS) -> Bins:
    """Group answers (N,) into bins of equal width over (0, 1]; a bin holds its upper edge."""
    which = np.clip(np.ceil(np.asarray(confidence, np.float64) * number).astype(np.int64) - 1, 0, number - 1)
    count = np.bincount(which, minlength=number)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(which, np.asarray(confidence, np.float64), number) / count
        right = np.bincount(which, np.asarray(correct, np.float64), number) / count
    return Bins(count, mean, right)


def brier(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Brier's score (1950): mean squared distance of the probabilities from the truth, summed over classes; 0 to 2."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def reheated(probabilities: NDArray[np.floating], temperature: NDArray[np.floating]) -> NDArray[np.float64]:
    """The probabilities (N, C) as they were before each row's logits were divided by its temperature (N,)."""
    powered = np.asarray(probabilities, np.float64) ** np.asarray(temperature)[:, None]
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))
