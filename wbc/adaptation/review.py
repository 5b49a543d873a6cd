"""Review: reasons why a qualified reader must check a prediction, and the fitting of their thresholds."""

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
    """Reason for a review: a stable code and a sentence."""

    model_config = ConfigDict(frozen=True)

    code: ReasonCode
    text: str


class ReviewThresholds(BaseModel):
    """Thresholds of the review, fitted on `Val` and `unclassifiable/Train` and stored in the bundle.

    A threshold of None was not fitted and flags nothing.

    Attributes:
        min_confidence: lowest calibrated confidence without a flag, 0 to 1.
        max_distance: largest distance of the embedding from the training images without a flag (`familiarity`).
        min_sharpness: lowest sharpness without a flag (`image_quality`).
        min_brightness: lowest brightness of the background without a flag, 0 to 1.
        min_contrast: lowest contrast without a flag, 0 to 1.
        max_cells: largest number of nuclei of comparable size in the frame without a flag.
        min_focus_lift: lowest lift of the class activation map without a flag (`saliency.focus`); a uniform map has 0.
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
    """Measures that the review compares with its thresholds.

    Attributes:
        confidence: calibrated confidence, 0 to 1.
        quality: quality of the framed image.
        cells: number of nuclei of comparable size in the frame.
        no_cell: reason why no cell was found; empty if one was.
        distance: distance of the embedding from the training images; None if the bundle has no statistics.
        focus_lift: lift of the unmasked map; None if no cell was found or the map is empty.
    """

    confidence: float
    quality: ImageQuality
    cells: int
    no_cell: str = ""
    distance: float | None = None
    focus_lift: float | None = None


def reasons(measured: Measures, limits: ReviewThresholds) -> tuple[ReviewReason, ...]:
    """Return the reasons for a review; empty if none applies."""
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
"""Share of wrong answers among the unflagged that is accepted on each validation split."""


def fit_min_confidence(
    confidence: NDArray[np.floating], correct: NDArray[np.bool_], accepted_error: float, least: float = 0.6
) -> float:
    """Return the lowest confidence above which at most `accepted_error` of the predictions are wrong.

    Args:
        confidence: (N,) calibrated confidence, 0 to 1.
        correct: (N,) true for a correct prediction.
        accepted_error: accepted share of wrong predictions among the unflagged.
        least: lower bound of the result; a less confident prediction is a guess.
    """
    order = np.argsort(-np.asarray(confidence), kind="stable")
    errors = np.cumsum(~np.asarray(correct)[order]) / np.arange(1, len(order) + 1)
    accepted = np.flatnonzero(errors <= accepted_error)
    lowest = float(confidence[order[accepted[-1]]]) if len(accepted) else 1.0
    return round(max(lowest, least), 4)


def fit_min_focus_lift(lift: NDArray[np.floating], accepted_flags: float = 0.01, least: float = 0.0) -> float:
    """Return the lift below which at most `accepted_flags` of the images are; a uniform map has a lift of 0.

    Args:
        lift: (N,) lifts of images of the five classes outside the training split, without images that have none.
        accepted_flags: accepted share of flagged images.
        least: lower bound of the result, even if more than `accepted_flags` of the images are below it.
    """
    if len(lift) == 0:
        return least
    ordered = np.sort(np.asarray(lift, np.float64))
    return round(max(least, float(ordered[int(np.floor(accepted_flags * len(ordered)))])), 4)


def fit_max_cells(cells: NDArray[np.integer], accepted_flags: float = 0.02) -> int:
    """Return the number of cells per frame that at most `accepted_flags` of the images (N,) exceed."""
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
    """Return the lowest value of a quality measure at which the predictions are still reliable.

    Args:
        usual: (N,) values of the original images.
        degraded: value and accuracy of the same images at each degradation step, the mildest first.
        accuracy: accuracy on the original images.
        accepted_loss: accepted loss of accuracy.
        accepted_flags: accepted share of flagged original images.

    Returns:
        The value at the first step with a larger loss, or at the last step if there is none, but at most the value
        that flags `accepted_flags` of the original images.
    """
    lost = [value for value, reached in degraded if reached < accuracy - accepted_loss]
    limit = lost[0] if lost else degraded[-1][0]
    ordered = np.sort(np.asarray(usual, np.float64))
    return float(min(limit, ordered[int(np.floor(accepted_flags * len(ordered)))]))


def fit_max_distance(known: NDArray[np.floating], unknown: NDArray[np.floating], accepted_flags: float = 0.02) -> float:
    """Return the distance that best separates known from unknown cells and flags few known ones.

    Args:
        known: (N,) distances of images of the five classes outside the training split.
        unknown: (M,) distances of cells of other classes; may be empty.
        accepted_flags: accepted share of flagged known cells.

    Returns:
        Of the thresholds that flag at most `accepted_flags` of the known cells, the one with the least sum of the
        shares of flagged known and unflagged unknown cells; without unknown cells, the smallest.
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
