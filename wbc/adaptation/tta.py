"""Test-time augmentation: several views of one image, averaged; `auto` looks again only where it is unsure."""

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
    """The views of one prepared image that are looked at first, the image itself in front.

    Args:
        image: uint8 (S, S, 3).
        mode: `none` and `auto` give one view, `light` the eight of `LIGHT_VIEWS`.

    Returns:
        uint8 (V, S, S, 3).
    """
    if mode != "light":
        return image[None]
    return np.concatenate([image[None], further_views(image)])


def further_views(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The seven of `LIGHT_VIEWS` after the image itself, uint8 (7, S, S, 3): what `auto` adds where it is unsure."""
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
    """Mean of the views' logits, (V, 5) to (5,): the geometric mean of their probabilities."""
    return np.asarray(logits.mean(axis=0), np.float32)


def fit_auto_confidence(confidence: NDArray[np.floating], views_per_image: float = 2.0) -> float:
    """The confidence below which `auto` looks at the other seven views, so that a budget of views is spent.

    The whole budget is spent and not as little as leaves the answers on `Val` as they are: `Val` is easy, and what is
    unsure on another device is to be looked at again.

    Args:
        confidence: (N,) calibrated confidence of the first view.
        views_per_image: mean number of views an image that may be taken, 1 to 8.

    Returns:
        The largest threshold, rounded down to four places, that keeps within the budget.
    """
    share = (views_per_image - 1.0) / (len(LIGHT_VIEWS) - 1.0)
    allowed = int(np.floor(share * len(confidence)))
    ordered = np.sort(np.asarray(confidence, np.float64))
    # `unsure` is strict: with the threshold at the value after the allowed ones, exactly those lie below it.
    limit = float(ordered[allowed]) if allowed < len(ordered) else 1.0
    return float(np.floor(limit * 1e4) / 1e4)
