"""Test-time augmentation: several views of one image, averaged."""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

Mode = Literal["none", "light"]
MODES: tuple[Mode, ...] = get_args(Mode)

LIGHT_VIEWS = ("identity", "mirrored", "flipped", "rotated 90", "rotated 180", "rotated 270", "brighter", "darker")
"""The eight light views: two flips, three rotations, brightness plus and minus 10%."""


def views(image: NDArray[np.uint8], mode: Mode) -> NDArray[np.uint8]:
    """The views of one prepared image, the image itself first.

    Args:
        image: uint8 (S, S, 3).
        mode: `none` gives one view, `light` the eight of `LIGHT_VIEWS`.

    Returns:
        uint8 (V, S, S, 3).
    """
    if mode == "none":
        return image[None]
    return np.stack(
        [
            image,
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
