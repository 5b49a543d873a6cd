"""Contrast of a picture by its nucleus, so that pale and dark stains, and dim cameras, look alike."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.preprocessing.background import WHITE

GAIN = (0.5, 4.0)
"""Smallest and largest factor on optical densities."""

LEVELS = (np.arange(256) + 1.0) / (WHITE + 1.0)


def scale_density(rgb: NDArray[np.uint8], nucleus: NDArray[np.bool_], target: float) -> NDArray[np.uint8]:
    """Multiply all optical densities by one factor, so that the nucleus has the target density; hues stay.

    Args:
        rgb: uint8 (H, W, 3), on white-balanced colours.
        nucleus: bool (H, W); the picture stays as it is where it is empty.
        target: natural optical density of the nucleus against glass, mean of the channels.

    Returns:
        uint8 (H, W, 3).
    """
    pixels = rgb[nucleus]
    if not len(pixels):
        return rgb
    density = -float(np.mean(np.log(LEVELS[np.median(pixels, axis=0).astype(np.uint8)])))
    gain = np.clip(target / max(density, 1e-3), *GAIN)
    table = np.clip(np.rint((WHITE + 1.0) * LEVELS**gain - 1.0), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table), np.uint8)
