"""White balance against the slide's own background, so that glass is white on every microscope."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = 238
"""Level of every channel to which the background is moved; brighter pixels keep some room up to 255."""

PERCENTILE = 85
"""Percentile of each channel that counts as background: glass is bright and covers a sixth of most pictures."""

GRID = 48
"""Longer side, in pixels, at which the background is estimated."""

RIDGE = 0.02
"""Penalty on the slopes of the background, share of the sum of squares: little glass moves the surface little."""


def white_balance(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Divide each channel by the background, so that glass becomes `WHITE` everywhere in the picture.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        uint8 (H, W, 3).
    """
    gain = (WHITE / np.maximum(background(rgb), 4.0)).astype(np.float32)
    whole = cv2.resize(gain, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.multiply(rgb, whole, dtype=cv2.CV_8U), np.uint8)


def background(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Estimate the light that reaches the camera through bare glass, on a coarse grid.

    Illumination and camera gains are factors, so the surface is a quadratic polynomial of the position in the
    logarithm, fitted by least squares to the brightest two fifths of the pixels; it follows vignetting and coloured
    light. Its level is the 85th percentile of each channel over the surface.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        float32 (h, w, 3), levels of 255, at most `GRID` pixels wide and high.
    """
    height, width = rgb.shape[:2]
    scale = GRID / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    logs = np.log(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) + 1.0)
    rows, columns = np.meshgrid(np.linspace(-1, 1, size[1]), np.linspace(-1, 1, size[0]), indexing="ij")
    terms = np.stack([rows, columns, rows**2, columns**2, rows * columns], axis=-1).reshape(-1, 5)
    pixels = logs.reshape(-1, 3)
    surface = np.zeros_like(pixels)
    for _ in range(3):
        flat = pixels - surface
        bright = flat.sum(axis=1) >= np.percentile(flat.sum(axis=1), 60)
        centred = terms[bright] - terms[bright].mean(axis=0)
        left = centred.T @ centred + RIDGE * len(pixels) * np.eye(5)
        slopes = np.linalg.solve(left, centred.T @ (pixels[bright] - pixels[bright].mean(axis=0)))
        surface = terms @ slopes
    level = np.percentile(pixels - surface, PERCENTILE, axis=0)
    return np.asarray(np.exp(surface + level) - 1.0, np.float32).reshape(logs.shape)
