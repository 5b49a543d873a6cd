"""Which answers a person has to look at, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.adaptation.image_quality import ImageQuality

ReasonCode = Literal["low_confidence", "unlike_training", "poor_image", "attention_off_cell"]


class ReviewReason(BaseModel):
    """One reason to look: a stable code and a sentence."""

    model_config = ConfigDict(frozen=True)

    code: ReasonCode
    text: str


class ReviewThresholds(BaseModel):
    """Limits past which an answer is flagged; fitted on `Val` and `unclassifiable/Train`, kept in the bundle.

    A limit that is None was not fitted and flags nothing.

    Attributes:
        min_confidence: least calibrated confidence, 0 to 1, that is left unflagged.
        max_distance: largest distance of the embedding from the training images (`familiarity`) that is left unflagged.
        min_sharpness: least sharpness (`image_quality`).
        min_brightness: least brightness of the background, 0 to 1.
        min_contrast: least contrast, 0 to 1.
        max_cells: most nuclei of comparable size in the frame.
        min_focus_lift: least lift of the class activation map (`saliency.focus`); at 0 it lies on the cell no more than
            an even spread would.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_confidence: float = Field(ge=0, le=1)
    max_distance: float | None = Field(None, ge=0)
    min_sharpness: float | None = Field(None, ge=0)
    min_brightness: float | None = Field(None, ge=0, le=1)
    min_contrast: float | None = Field(None, ge=0, le=1)
    max_cells: int | None = Field(None, ge=1)
    min_focus_lift: float | None = Field(0.0, le=1)


@dataclass(frozen=True, slots=True)
class Measures:
    """What the review is decided by.

    Attributes:
        confidence: calibrated, 0 to 1.
        quality: of the framed picture.
        cells: nuclei of comparable size in the frame.
        no_cell: why no cell could be outlined; empty where one was.
        distance: of the embedding from the training images; None where the bundle has no statistics for it.
        focus_lift: of the unmasked map; None where no cell was outlined or the map is empty.
    """

    confidence: float
    quality: ImageQuality
    cells: int
    no_cell: str = ""
    distance: float | None = None
    focus_lift: float | None = None


def reasons(measured: Measures, limits: ReviewThresholds) -> tuple[ReviewReason, ...]:
    """Why a person has to look at an answer; empty where nothing speaks for it."""
    found: list[ReviewReason] = []
    if measured.confidence < limits.min_confidence:
        least_sure = f"{limits.min_confidence:.1%}"
        text = f"Confidence {measured.confidence:.1%} is below {least_sure}, under which the model errs too often."
        found.append(ReviewReason(code="low_confidence", text=text))
    if measured.distance is not None and _above(measured.distance, limits.max_distance):
        text = (
            f"The cell is unlike the training images: its distance from them is {measured.distance:.2f}, "
            f"at most {limits.max_distance:.2f} is usual."
        )
        found.append(ReviewReason(code="unlike_training", text=text))
    if faults := _faults(measured, limits):
        found.append(ReviewReason(code="poor_image", text=f"{'; '.join(faults)}."))
    least = limits.min_focus_lift
    if measured.focus_lift is not None and least is not None and measured.focus_lift < least:
        text = (
            f"The class activation map lies off the cell: its lift over an even spread is {measured.focus_lift:.2f}, "
            f"at least {least:.2f} is usual."
        )
        found.append(ReviewReason(code="attention_off_cell", text=text))
    return tuple(found)


def _faults(measured: Measures, limits: ReviewThresholds) -> list[str]:
    quality, faults = measured.quality, []
    if measured.no_cell:
        faults.append(f"No cell could be outlined: {measured.no_cell}")
    if _above(measured.cells, limits.max_cells):
        faults.append(f"{measured.cells} cells are in the frame, and the answer is about the one in the middle")
    for name, value, least in (
        ("sharpness", quality.sharpness, limits.min_sharpness),
        ("brightness", quality.brightness, limits.min_brightness),
        ("contrast", quality.contrast, limits.min_contrast),
    ):
        if least is not None and value < least:
            faults.append(f"The picture's {name} is {value:.3f}, at least {least:.3f} is needed")
    return faults


def _above(value: float, most: float | None) -> bool:
    return most is not None and value > most


ACCEPTED_ERROR = 0.03
"""Share of wrong answers among the unflagged that is accepted on a device that was not trained on."""


def fit_min_confidence(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], accepted_error: float, least: float = 0.6
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


def fit_min_focus_lift(lift: NDArray[np.floating], accepted_flags: float = 0.01, least: float = 0.0) -> float:
    """The lift below which at most `accepted_flags` of the images lie, and at least `least`; 0 is an even map's.

    Args:
        lift: (N,) of images of the five classes, not trained on; images without one are left out.
        accepted_flags: share of the images that may be flagged.
        least: floor of the result; above the images' own lifts it flags more of them than `accepted_flags`.
    """
    if len(lift) == 0:
        return least
    ordered = np.sort(np.asarray(lift, np.float64))
    return round(max(least, float(ordered[int(np.floor(accepted_flags * len(ordered)))])), 4)


def fit_max_cells(cells: NDArray[np.integer], accepted_flags: float = 0.02) -> int:
    """The number of cells in a frame that at most `accepted_flags` of the images (N,) exceed."""
    most = 1
    while (np.asarray(cells) > most).mean() > accepted_flags:
        most += 1
    return most


def fit_least_quality(
    usual: NDArray[np.floating],
    degraded: Sequence[tuple[float, float]],
    accuracy: float,
    accepted_loss: float = 0.05,
    accepted_flags: float = 0.005,
) -> float:
    """The least value of a measure of quality at which the answers can still be relied on.

    Args:
        usual: (N,) values of images as they are.
        degraded: value and accuracy of the same images made worse step by step, the mildest first.
        accuracy: of the images as they are.
        accepted_loss: accuracy that may be lost.
        accepted_flags: share of the images as they are that may lie below.

    Returns:
        The value at the first step that loses more, or else at the last step; never so much that more than
        `accepted_flags` of the images as they are would be flagged.
    """
    lost = [value for value, reached in degraded if reached < accuracy - accepted_loss]
    limit = lost[0] if lost else degraded[-1][0]
    ordered = np.sort(np.asarray(usual, np.float64))
    return float(min(limit, ordered[int(np.floor(accepted_flags * len(ordered)))]))


def fit_max_distance(known: NDArray[np.floating], unknown: NDArray[np.floating], accepted_flags: float = 0.02) -> float:
    """The distance that parts known from unknown cells best, while few known ones are flagged.

    Args:
        known: (N,) distances of images of the five classes, not trained on.
        unknown: (M,) distances of cells of none of the classes; may be empty.
        accepted_flags: share of the known ones that may lie above the threshold.

    Returns:
        The threshold of least flagged-known plus unflagged-unknown share, among those that flag at most
        `accepted_flags` of the known; the smallest of these where there is no unknown cell.
    """
    ordered = np.sort(np.asarray(known, np.float64))
    allowed = int(np.floor(accepted_flags * len(ordered)))
    smallest = float(ordered[len(ordered) - 1 - allowed])
    if len(unknown) == 0:
        return smallest
    candidates = np.unique(
        np.concatenate([ordered[ordered >= smallest], np.asarray(unknown)[np.asarray(unknown) >= smallest]])
    )
    flagged = (ordered[None, :] > candidates[:, None]).mean(axis=1)
    missed = (np.asarray(unknown)[None, :] <= candidates[:, None]).mean(axis=1)
    return float(candidates[np.argmin(flagged + missed)])
