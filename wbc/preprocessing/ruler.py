"""The red cells of a picture as a ruler for the size of its leukocyte."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.preprocessing.foreground import Foreground

CELL = 80
"""Diameter of the leukocyte, in pixels, at which red cells are searched."""

SMALLEST, LARGEST = 0.34, 1.08
"""Range of a red cell's diameter, in diameters of the leukocyte."""

ROUNDNESS = (0.8, 0.6, 0.4)
"""Shares of a circle that have to be seen; the next is tried where fewer than two circles are found."""

BEST = 8
"""Circles, the clearest first, whose median counts."""


def red_cell_diameter(rgb: NDArray[np.uint8], found: Foreground) -> float:
    """Estimate the diameter of the picture's red cells with a Hough transform for circles.

    Args:
        rgb: uint8 (H, W, 3), on white-balanced colours.
        found: the leukocyte, which is left out.

    Returns:
        Median diameter in pixels of the picture; 0 where no leukocyte or no red cell was found.
    """
    if not found.valid:
        return 0.0
    scale = CELL / found.cell_diameter
    size = (max(8, round(rgb.shape[1] * scale)), max(8, round(rgb.shape[0] * scale)))
    green = np.ascontiguousarray(rgb[..., 1])
    small = cv2.resize(green, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    small = cv2.GaussianBlur(small, (0, 0), 1.5)
    leukocyte = cv2.resize(found.cell.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    small[cv2.dilate(leukocyte, np.ones((5, 5), np.uint8)) > 0] = np.median(small)
    for roundness in ROUNDNESS:
        circles = cv2.HoughCircles(
            small,
            cv2.HOUGH_GRADIENT_ALT,
            dp=1.5,
            minDist=0.2 * CELL,
            param1=150,
            param2=roundness,
            minRadius=int(SMALLEST * CELL / 2),
            maxRadius=int(LARGEST * CELL / 2),
        )
        if circles is not None and circles.shape[1] >= 2:
            return float(2 * np.median(circles[0, :BEST, 2]) / scale)
    return 0.0
