"""The facts of one classified cell that a report may state, and their printed numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import get_args

from wbc.adaptation.review import ReasonCode
from wbc.labels import MORPHOLOGY, Morphology
from wbc.preprocessing.morphometry import Shape

REVIEW_REASONS: tuple[ReasonCode, ...] = get_args(ReasonCode)
"""Codes of the review reasons, in the order of a report."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts that a report on one cell may state.

    Attributes:
        label: the predicted class, one of `wbc.labels.CLASSES`.
        confidence: its calibrated probability.
        runner_up: the class with the second-largest probability.
        runner_up_probability: that probability.
        focus_ratio: share of the unmasked map that lies on the cell; None if no cell was found.
        focus_coverage: share of the image that the cell covers, which is the ratio of a uniform map.
        focus_lift: (ratio - coverage) / (1 - coverage).
        review_reasons: codes of `REVIEW_REASONS`; empty if no review is needed.
        shape: measures of the cell; None if no cell was found.

    Raises:
        ValueError: unknown class or reason.
    """

    label: str
    confidence: float
    runner_up: str
    runner_up_probability: float
    focus_ratio: float | None = None
    focus_coverage: float | None = None
    focus_lift: float | None = None
    review_reasons: tuple[str, ...] = ()
    shape: Shape | None = None

    def __post_init__(self) -> None:
        for name in (self.label, self.runner_up):
            if name not in MORPHOLOGY:
                raise ValueError(f"unknown class {name!r}; the classes are {', '.join(MORPHOLOGY)}")
        for reason in self.review_reasons:
            if reason not in REVIEW_REASONS:
                raise ValueError(f"unknown review reason {reason!r}; the reasons are {', '.join(REVIEW_REASONS)}")

    @property
    def morphology(self) -> Morphology:
        """Expected morphology of the predicted class."""
        return MORPHOLOGY[self.label]


def numbers(facts: Facts) -> Mapping[str, str]:
    """Format the numbers of the facts, the same in every language, by name; unknown ones are absent.

    Probabilities are percentages with one decimal, other shares whole percentages, solidity and lift have two
    decimals. A probability that rounds to nothing or to certainty is printed as a bound, `<0.1` or `>99.9`.
    """
    printed = {
        "confidence": _probability(facts.confidence),
        "runner_up_probability": _probability(facts.runner_up_probability),
    }
    if facts.focus_ratio is not None and facts.focus_coverage is not None and facts.focus_lift is not None:
        printed["focus_ratio"] = _share(facts.focus_ratio)
        printed["focus_coverage"] = _share(facts.focus_coverage)
        printed["focus_lift"] = _two_decimals(facts.focus_lift)
    if facts.shape is not None:
        printed["nucleus_share"] = _share(facts.shape.nucleus_share)
        printed["solidity"] = _two_decimals(facts.shape.solidity)
        printed["lobes"] = str(facts.shape.lobes)
        printed["cell_diameter"] = _share(facts.shape.cell_diameter)
        printed["nucleus_diameter"] = _share(facts.shape.nucleus_diameter)
    return MappingProxyType(printed)


def _probability(value: float) -> str:
    if value < 0.0005:
        return "<0.1"
    return ">99.9" if value >= 0.9995 else f"{100 * value:.1f}"


def _share(value: float) -> str:
    return f"{100 * value:.0f}"


def _two_decimals(value: float) -> str:
    return f"{value:.2f}".replace("-0.00", "0.00")
