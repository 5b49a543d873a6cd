"""The outline of a nucleus in two numbers: how lobed and how convex it is."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_SIZE = 128
"""Longer side, in pixels, at which outlines are measured; that of the masks themselves."""

LEAST_LOBE = 0.05
"""Least area of a lobe's core as a share of the nucleus: smaller ones are ripples of the outline."""

DEPTHS = 16
"""Depths, from the outline to the middle, at which parts are counted."""


def count_lobes(nucleus: NDArray[np.bool_]) -> int:
    """Number of parts into which a nucleus mask falls where it is narrow; 0 for an empty mask.

    The mask is peeled from its border inwards, and the largest number of parts that stand apart at any depth is the
    number of lobes: a strand between two lobes vanishes long before the lobes do. A count from one focal plane and a
    threshold is a description of the outline, not the reader's count: lobes that overlap are one.
    """
    mask = _small(nucleus)
    area = int(mask.sum())
    if area == 0:
        return 0
    left, top, width, height = cv2.boundingRect(mask)
    # One empty pixel around it, so that the image's border counts as an outline.
    mask = np.pad(mask[top : top + height, left : left + width], 1)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    most = 1
    for level in np.linspace(0.0, float(depth.max()), DEPTHS, endpoint=False):
        _, _, stats, _ = cv2.connectedComponentsWithStats((depth > level).astype(np.uint8), connectivity=8)
        most = max(most, int((stats[1:, cv2.CC_STAT_AREA] >= LEAST_LOBE * area).sum()))
    return most


def solidity_of(mask: NDArray[np.bool_]) -> float:
    """Area of a mask over the area of its convex hull, 0 to 1; 0 for an empty mask."""
    small = _small(mask)
    area = int(small.sum())
    if area == 0:
        return 0.0
    hull = np.zeros_like(small)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(small)), 1)
    return float(min(1.0, area / hull.sum()))


def _small(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The mask at working size."""
    height, width = mask.shape
    scale = WORK_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.asarray(cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST), np.uint8)
