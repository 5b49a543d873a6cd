"""Temperature scaling of logits into calibrated probabilities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter

BINS = 15
"""Bins of equal width, as in Guo et al. 2017 (arXiv 1706.04599)."""

TEMPERATURES = (0.05, 20.0)
"""Search range; a fit at its edge is an error."""


def probabilities(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the softmax of `logits / temperature` over the last axis, float64; each row sums to 1."""
    scaled = np.asarray(logits, np.float64) / temperature
    exponent = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(exponent / exponent.sum(axis=-1, keepdims=True))


def negative_log_likelihood(
    logits: NDArray[np.floating], labels: NDArray[np.integer], temperature: float = 1.0
) -> float:
    """Return the mean cross-entropy of labels (N,) under logits (N, C), in nats."""
    chosen = probabilities(logits, temperature)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-300)).mean())


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


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Find the temperature of least negative log-likelihood (Guo et al. 2017, arXiv 1706.04599) by golden section.

    Args:
        logits: (N, C).
        labels: (N,) class indices.

    Raises:
        InvalidParameter: there is no sample, or the optimum is at the edge of `TEMPERATURES` (all samples are correct,
            or the logits are uninformative).
    """
    if len(labels) == 0:
        raise InvalidParameter("no sample to fit a temperature on; at least one is needed")
    low, high = np.log(TEMPERATURES)
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    while high - low > 1e-5:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if negative_log_likelihood(logits, labels, np.exp(left)) < negative_log_likelihood(
            logits, labels, np.exp(right)
        ):
            high = right
        else:
            low = left
    temperature = float(np.exp((low + high) / 2.0))
    if not TEMPERATURES[0] * 1.01 < temperature < TEMPERATURES[1] / 1.01:
        raise InvalidParameter(
            f"temperature {temperature:.3g} is at the edge of {TEMPERATURES}: "
            f"the {len(labels)} samples cannot calibrate the model"
        )
    return temperature
