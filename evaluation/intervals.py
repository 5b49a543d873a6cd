"""Intervals for what was counted on a sample of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Z_95 = 1.959963984540054
"""Two-sided 95% point of the normal distribution."""

RESAMPLES = 2000


class Estimate(BaseModel):
    """A value with its 95% interval."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float
    low: float
    high: float

    def percent(self, decimals: int = 2) -> str:
        """`98.53 (97.80-99.02)`: the form of every table."""
        return f"{100 * self.value:.{decimals}f} ({100 * self.low:.{decimals}f}-{100 * self.high:.{decimals}f})"


def wilson(successes: int, trials: int) -> Estimate:
    """A proportion with Wilson's score interval (1927): it stays within [0, 1] and is not empty at 0 or 1.

    Args:
        successes: 0 to `trials`.
        trials: at least 1.
    """
    share, z2 = successes / trials, Z_95**2
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z_95 / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return Estimate(value=share, low=float(max(0.0, middle - half)), high=float(min(1.0, middle + half)))


def bootstrap(
    confusion: NDArray[np.int64], score: Callable[[NDArray[np.int64]], NDArray[np.float64]], rng: np.random.Generator
) -> Estimate:
    """A score of a confusion matrix with its percentile bootstrap interval.

    Images are redrawn within each true class: a class keeps its support, as in a study that fixes how many cells of
    each class are collected. Redrawing images and redrawing the row of their answers is the same, so a resample is one
    multinomial draw a row. A class of one or two images has no spread of its own: its part of the interval is too
    narrow.

    Args:
        confusion: (C, C), truth in rows.
        score: from (R, C, C) to (R,).
        rng: source of the resamples.
    """
    drawn = np.zeros((RESAMPLES, *confusion.shape), np.int64)
    for row, answers in enumerate(confusion):
        if (support := int(answers.sum())) > 0:
            drawn[:, row] = rng.multinomial(support, answers / support, RESAMPLES)
    low, high = np.percentile(score(drawn), [2.5, 97.5])
    return Estimate(value=float(score(confusion[None])[0]), low=float(low), high=float(high))
