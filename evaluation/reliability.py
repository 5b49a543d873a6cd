"""Calibration of confidences: expected calibration error and the bins of a reliability diagram."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15
"""Bins of equal width, as in Guo et al. 2017 (arXiv 1706.04599)."""


@dataclass(frozen=True, slots=True)
class Bins:
    """Predictions grouped by confidence; the mean of an empty bin is NaN.

    Attributes:
        count: (B,) number of predictions.
        confidence: (B,) mean confidence.
        accuracy: (B,) share of correct predictions.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean difference of confidence and accuracy, weighted by the count of each bin."""
        filled = self.count > 0
        gaps = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((gaps * self.count[filled]).sum() / self.count.sum())


def bin_by_confidence(confidence: NDArray[np.floating], correct: NDArray[np.bool_], number: int = BINS) -> Bins:
    """Group predictions (N,) into bins of equal width over (0, 1]; a bin includes its upper edge."""
    which = np.clip(np.ceil(np.asarray(confidence, np.float64) * number).astype(np.int64) - 1, 0, number - 1)
    count = np.bincount(which, minlength=number)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(which, np.asarray(confidence, np.float64), number) / count
        accuracy = np.bincount(which, np.asarray(correct, np.float64), number) / count
    return Bins(count, mean, accuracy)


def bin_rows(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Bins:
    """Group predictions with probabilities (N, C) and true class indices (N,); see `bin_by_confidence`."""
    return bin_by_confidence(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def undo_temperature(probabilities: NDArray[np.floating], temperature: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities (N, C) before the logits of each row were divided by its temperature (N,)."""
    powered = np.asarray(probabilities, np.float64) ** np.asarray(temperature)[:, None]
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))
