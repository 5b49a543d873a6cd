"""Test-time augmentation: average over several views of an image; `auto` adds views only at low confidence."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Mode = Literal["none", "light", "auto"]
MODES: tuple[Mode, ...] = get_args(Mode)

LIGHT_VIEWS = ("identity", "mirrored", "flipped", "rotated 90", "rotated 180", "rotated 270", "brighter", "darker")
"""The eight light views: two flips, three rotations, brightness plus and minus 10%."""


def views(image: NDArray[np.uint8], mode: Mode) -> NDArray[np.uint8]:
    """Return the first views of a prepared image, the image itself first.

    Args:
        image: uint8 (S, S, 3).
        mode: `none` and `auto` return one view, `light` the eight of `LIGHT_VIEWS`.

    Returns:
        uint8 (V, S, S, 3).
    """
    if mode != "light":
        return image[None]
    return np.concatenate([image[None], further_views(image)])


def further_views(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the seven `LIGHT_VIEWS` after the image itself, uint8 (7, S, S, 3); `auto` adds them at low confidence."""
    return np.stack(
        [
            image[:, ::-1],
            image[::-1],
            np.rot90(image, 1),
            np.rot90(image, 2),
            np.rot90(image, 3),
            cv2.convertScaleAbs(image, alpha=1.1),
            cv2.convertScaleAbs(image, alpha=0.9),
        ]
    ).astype(np.uint8)


def average(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the logits of the views, (V, 5) to (5,), which is the geometric mean of their probabilities."""
    return np.asarray(logits.mean(axis=0), np.float32)


def fit_auto_confidence(confidence: NDArray[np.floating], views_per_image: float = 2.0) -> float:
    """Return the confidence below which `auto` adds the other seven views, for a given mean number of views.

    The threshold uses the whole budget. A lower one would give the same predictions on `Val`, but `Val` is easy, and
    other devices have more images of low confidence.

    Args:
        confidence: (N,) calibrated confidence of the first view.
        views_per_image: largest mean number of views per image, 1 to 8.

    Returns:
        The largest threshold within the budget, rounded down to four decimal places.
    """
    share = (views_per_image - 1.0) / (len(LIGHT_VIEWS) - 1.0)
    allowed = int(np.floor(share * len(confidence)))
    ordered = np.sort(np.asarray(confidence, np.float64))
    # Views are added strictly below the threshold, so this value leaves exactly `allowed` images below it.
    limit = float(ordered[allowed]) if allowed < len(ordered) else 1.0
    return float(np.floor(limit * 1e4) / 1e4)
