"""Estimates with 95% confidence intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy import stats

RESAMPLES = 2000


class FrozenModel(BaseModel):
    """Base of all results: immutable, without further fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Estimate(FrozenModel):
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def percent(self, decimals: int = 2) -> str:
        """Return the form of every table: `98.53 (97.80-99.02)`."""
        return f"{100 * self.value:.{decimals}f} ({100 * self.low:.{decimals}f}-{100 * self.high:.{decimals}f})"


class SampleEstimate(Estimate):
    """An estimate, rounded to six decimals, and the number of images behind it."""

    n: int


def wilson(successes: int, trials: int) -> Estimate:
    """Return a proportion, of at least one trial, with Wilson's score interval (1927), which is not empty at 0 or 1."""
    interval = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return Estimate(value=successes / trials, low=float(interval.low), high=float(interval.high))


def bootstrap(
    confusion: NDArray[np.int64], score: Callable[[NDArray[np.int64]], NDArray[np.float64]], rng: np.random.Generator
) -> Estimate:
    """Return a score of a confusion matrix with its percentile bootstrap interval, stratified by true class.

    Resampling the images of a class is one multinomial draw of its row. The interval is too narrow for classes of one
    or two images, which have no spread of their own.

    Args:
        confusion: (C, C), truth in rows.
        score: from (R, C, C) to (R,).
        rng: source of the resamples.
    """
    resamples = np.zeros((RESAMPLES, *confusion.shape), np.int64)
    for row, counts in enumerate(confusion):
        if (support := int(counts.sum())) > 0:
            resamples[:, row] = rng.multinomial(support, counts / support, RESAMPLES)
    low, high = np.percentile(score(resamples), [2.5, 97.5])
    return Estimate(value=float(score(confusion[None])[0]), low=float(low), high=float(high))


def mean(values: Sequence[float] | NDArray[np.floating], seed: int) -> SampleEstimate | None:
    """Return the mean of a sample (N,) with its percentile bootstrap interval; None for an empty sample."""
    sample = np.asarray(values, np.float64)
    if len(sample) == 0:
        return None
    value = low = high = float(sample.mean())
    if len(sample) > 1:  # scipy needs two; one has no spread
        found = stats.bootstrap((sample,), np.mean, n_resamples=RESAMPLES, method="percentile", rng=seed)
        low, high = found.confidence_interval
    return _sample_estimate(value, low, high, len(sample))


def share(flags: Sequence[bool] | NDArray[np.bool_]) -> SampleEstimate | None:
    """Return the share of true flags (N,) with Wilson's interval; None for an empty sample."""
    if len(flags) == 0:
        return None
    found = wilson(int(np.sum(flags)), len(flags))
    return _sample_estimate(found.value, found.low, found.high, len(flags))


def _sample_estimate(value: float, low: float, high: float, n: int) -> SampleEstimate:
    return SampleEstimate(value=round(value, 6), low=round(float(low), 6), high=round(float(high), 6), n=n)
