"""Differential count: shares of the classes among the counted cells, with confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wbc.errors import InvalidParameter
from wbc.labels import CLASSES, MORPHOLOGY

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Share:
    """One class of a differential count, in percent of the counted cells.

    Attributes:
        label: the class.
        count: number of cells.
        percent: share of the cells.
        low, high: Clopper-Pearson interval of the share, 95%.
        reference: reference range in adults (`labels.MORPHOLOGY`).
        verdict: `below`, `within` or `above` if the whole interval is; `unclear` if it contains a limit of the range.
    """

    label: str
    count: int
    percent: float
    low: float
    high: float
    reference: tuple[float, float]
    verdict: str


@dataclass(frozen=True, slots=True)
class Differential:
    """A differential count.

    Attributes:
        counted: number of counted cells.
        for_review: number of cells that are not counted until a person has classified them.
        shares: per class, in the order of `labels.CLASSES`.
    """

    counted: int
    for_review: int
    shares: tuple[Share, ...]

    @property
    def complete(self) -> bool:
        """True if no cell waits for review; a report is not signed before."""
        return self.for_review == 0


def differential(counts: Mapping[str, int], for_review: int = 0) -> Differential:
    """Compute percentages with intervals from the number of cells per class.

    Args:
        counts: number of cells per class; a missing class has none.
        for_review: number of cells that wait for review.

    Raises:
        InvalidParameter: an unknown class, or a negative number.
    """
    if unknown := [name for name in counts if name not in CLASSES]:
        raise InvalidParameter(f"unknown class {unknown[0]!r}; the classes are {', '.join(CLASSES)}")
    if min([for_review, *counts.values()]) < 0:
        raise InvalidParameter("received a negative number of cells; 0 or more are accepted")
    total = sum(counts.values())
    shares = []
    for label in CLASSES:
        count, reference = counts.get(label, 0), MORPHOLOGY[label].adult_share_percent
        low, high = (100.0 * limit for limit in clopper_pearson(count, total))
        percent = 100.0 * count / total if total else 0.0
        shares.append(Share(label, count, percent, low, high, reference, _verdict(low, high, reference)))
    return Differential(total, for_review, tuple(shares))


def _verdict(low: float, high: float, reference: tuple[float, float]) -> str:
    if high < reference[0]:
        return "below"
    if low > reference[1]:
        return "above"
    return "within" if low >= reference[0] and high <= reference[1] else "unclear"


def clopper_pearson(successes: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the exact two-sided confidence interval of a proportion (Clopper and Pearson 1934).

    5 of 100 gives 0.0164 to 0.1128; no trial gives 0 to 1.

    Args:
        successes: 0 to `trials`.
        trials: 0 or more.
        confidence: of the interval, between 0 and 1.

    Raises:
        InvalidParameter: a number is out of range.
    """
    if not 0 <= successes <= trials or not 0.0 < confidence < 1.0:
        raise InvalidParameter(
            f"received {successes} of {trials} at confidence {confidence}; "
            f"0 to {max(trials, 0)} successes and a confidence between 0 and 1 are accepted"
        )
    if trials == 0:
        return 0.0, 1.0
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if successes == 0 else 1.0 - _upper_limit(trials - successes, trials, tail)
    high = 1.0 if successes == trials else _upper_limit(successes, trials, tail)
    return low, high


def _upper_limit(successes: int, trials: int, tail: float) -> float:
    """Return the proportion for which at most `successes` of `trials`, fewer than all, have the probability `tail`.

    Bisection of the binomial distribution; SciPy would be the largest package of the serving image.
    """
    number = np.arange(successes + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    ways = factorials[trials] - factorials[number] - factorials[trials - number]
    low, high = 0.0, 1.0
    for _ in range(60):  # 2^-60 is below the resolution of a double near 1
        middle = (low + high) / 2.0
        at_most = np.exp(ways + number * math.log(middle) + (trials - number) * math.log1p(-middle)).sum()
        low, high = (middle, high) if at_most > tail else (low, middle)
    return (low + high) / 2.0
