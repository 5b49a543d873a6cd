"""One value an image, as a mean or a share with its 95% interval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.intervals import RESAMPLES, Estimate, wilson


class Measured(Estimate):
    """An estimate and the number of images behind it."""

    n: int


def mean(values: Sequence[float] | NDArray[np.floating], seed: int) -> Measured | None:
    """Mean with its percentile bootstrap interval over images; None where there is no image."""
    sample = np.asarray(values, np.float64)
    if len(sample) == 0:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(sample), (RESAMPLES, len(sample)))
    low, high = np.quantile(sample[drawn].mean(axis=1), (0.025, 0.975))
    return _measured(float(sample.mean()), float(low), float(high), len(sample))


def share(hits: Sequence[bool] | NDArray[np.bool_]) -> Measured | None:
    """Share of the images for which something holds; None where there is no image."""
    if len(hits) == 0:
        return None
    found = wilson(int(np.sum(hits)), len(hits))
    return _measured(found.value, found.low, found.high, len(hits))


def _measured(value: float, low: float, high: float, n: int) -> Measured:
    # Six decimals: more than any of these samples can tell apart.
    return Measured(value=round(value, 6), low=round(low, 6), high=round(high, 6), n=n)
