"""From a class activation map to pictures: the map at full size, and laid over the cell."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.preprocessing.foreground import Foreground

# OpenCV's tables are blue first. Inferno is perceptually uniform (van der Walt & Smith 2015): equal steps look equal.
INFERNO: NDArray[np.uint8] = np.ascontiguousarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]
)
"""Colours of the map, (256, 3) RGB, from 0 to 1."""

CONTOUR = (0, 229, 160)
"""RGB of the cell's outline; inferno has no green."""


def heatmap(cam: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """A map of the feature grid at picture size, bilinear, scaled to a maximum of 1; all zero stays zero.

    Args:
        cam: (h, w), not negative.
        size: side of the result in pixels.

    Returns:
        float32 (size, size) in [0, 1].
    """
    full = cv2.resize(np.asarray(cam, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    peak = float(full.max())
    return np.asarray(full / peak if peak > 0 else np.zeros_like(full), np.float32)


def overlay(
    rgb: NDArray[np.uint8], heat: NDArray[np.float32], foreground: Foreground, *, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """The map laid over the picture, more opaque where it is stronger, with the found cell's outline.

    The map is not cut to the cell: attention on the background stays visible.

    Args:
        rgb: uint8 (S, S, 3).
        heat: float32 (S, S) in [0, 1].
        foreground: the found cell; its outline is drawn where it is valid.
        opacity: of the strongest part of the map, 0 to 1.
    """
    colours = INFERNO[np.rint(heat * 255.0).astype(np.uint8)].astype(np.float32)
    alpha = (opacity * np.sqrt(heat))[..., None]
    out: NDArray[np.uint8] = np.rint(rgb * (1.0 - alpha) + colours * alpha).astype(np.uint8)
    if foreground.valid:
        outline, _ = cv2.findContours(foreground.cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(out, outline, -1, CONTOUR, 1, cv2.LINE_AA)
    return out
