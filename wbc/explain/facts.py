"""What an explanation may speak of: the facts of one classified cell, and their numbers printed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from wbc.explain.lobes import count_lobes, solidity_of
from wbc.labels import MORPHOLOGY, Morphology

if TYPE_CHECKING:
    from wbc.preprocessing.foreground import Foreground

REVIEW_REASONS = ("low_confidence", "unlike_training", "poor_image", "attention_off_cell")
"""Codes of the reasons for which a person must look at a cell, in the order in which they are told."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of a found cell, from its masks; all but the lobes lie between 0 and 1.

    Attributes:
        nucleus_share: area of the nucleus over the area of the cell.
        solidity: area of the nucleus over the area of its convex hull; a disc has 1.
        lobes: parts into which the nucleus falls where it is narrow.
        cell_diameter: diameter of the disc of the cell's area, over the shorter side of the frame.
        nucleus_diameter: the same of the nucleus.
        touches_border: whether the cell runs out of the frame, so that its measures are lower bounds.
    """

    nucleus_share: float
    solidity: float
    lobes: int
    cell_diameter: float
    nucleus_diameter: float
    touches_border: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that a report on one cell may say.

    Attributes:
        label: the predicted class, one of `wbc.labels.CLASSES`.
        confidence: its calibrated probability.
        runner_up: the class with the second-largest probability.
        runner_up_probability: that probability.
        focus_ratio: share of the unmasked map that lies on the cell; None where no cell was found.
        focus_coverage: share of the frame that the cell takes, which is what a uniform map would score.
        focus_lift: (ratio - coverage) / (1 - coverage).
        review_reasons: codes of `REVIEW_REASONS`; empty where nothing asks for a second look.
        shape: measures of the cell; None where no cell was found.

    Raises:
        ValueError: a class or a reason is unknown.
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
        """What a reader expects of the predicted class."""
        return MORPHOLOGY[self.label]


def shape_of(foreground: Foreground) -> Shape | None:
    """Measures of the cell that was found; None where the masks are invalid."""
    if not foreground.valid:
        return None
    side = min(foreground.cell.shape)
    return Shape(
        nucleus_share=float(foreground.nucleus.sum() / foreground.cell.sum()),
        solidity=solidity_of(foreground.nucleus),
        lobes=count_lobes(foreground.nucleus),
        cell_diameter=foreground.cell_diameter / side,
        nucleus_diameter=foreground.nucleus_diameter / side,
        touches_border=foreground.touches_border,
    )


def numbers(facts: Facts) -> Mapping[str, str]:
    """The numbers of the facts as they are printed, in every language, by name; what is unknown is absent.

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
