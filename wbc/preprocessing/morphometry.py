"""Measures of a cell and its nucleus from their masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.preprocessing.foreground import WORK_SIZE, Foreground

MIN_LOBE = 0.05
"""Minimum area of a lobe's core as a share of the nucleus; smaller parts are ripples of the outline."""

DEPTHS = 16
"""Number of depths, from the outline to the middle, at which parts are counted."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Measures of a cell; all except the lobes are between 0 and 1.

    Attributes:
        nucleus_share: area of the nucleus over the area of the cell.
        solidity: area of the nucleus over the area of its convex hull; 1 for a disc.
        lobes: number of parts that the nucleus separates into where it is narrow.
        cell_diameter: diameter of the disc with the cell's area, over the shorter side of the image.
        nucleus_diameter: the same for the nucleus.
        touches_border: true if the image cuts off the cell, so that the measures are lower bounds.
    """

    nucleus_share: float
    solidity: float
    lobes: int
    cell_diameter: float
    nucleus_diameter: float
    touches_border: bool = False


def measure_shape(foreground: Foreground) -> Shape | None:
    """Measure the cell; None if the masks are not valid."""
    if not foreground.valid:
        return None
    side = min(foreground.cell.shape)
    return Shape(
        nucleus_share=float(foreground.nucleus.sum() / foreground.cell.sum()),
        solidity=compute_solidity(foreground.nucleus),
        lobes=count_lobes(foreground.nucleus),
        cell_diameter=foreground.cell_diameter / side,
        nucleus_diameter=foreground.nucleus_diameter / side,
        touches_border=foreground.touches_border,
    )


def count_lobes(nucleus: NDArray[np.bool_]) -> int:
    """Count the lobes of a nucleus; 0 for an empty mask.

    The mask is eroded from its border inwards, and the largest number of separate parts at any depth is returned: a
    strand between two lobes vanishes long before the lobes do. Lobes that overlap count as one, so the number can be
    smaller than a reader's.
    """
    mask = _resize(nucleus)
    area = int(mask.sum())
    if area == 0:
        return 0
    left, top, width, height = cv2.boundingRect(mask)
    # One empty pixel around the nucleus makes the image's border part of the outline.
    mask = np.pad(mask[top : top + height, left : left + width], 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    most = 1
    for level in np.linspace(0.0, float(depth.max()), DEPTHS, endpoint=False):
        _, _, stats, _ = cv2.connectedComponentsWithStats((depth > level).astype(np.uint8), connectivity=8)
        most = max(most, int((stats[1:, cv2.CC_STAT_AREA] >= MIN_LOBE * area).sum()))
    return most


def compute_solidity(mask: NDArray[np.bool_]) -> float:
    """Return the area of a mask over the area of its convex hull, 0 to 1; 0 for an empty mask."""
    small = _resize(mask)
    area = int(small.sum())
    if area == 0:
        return 0.0
    hull = np.zeros_like(small)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(small)), 1)
    return float(min(1.0, area / hull.sum()))


def _resize(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return the mask at the size at which masks are computed."""
    height, width = mask.shape
    scale = WORK_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
