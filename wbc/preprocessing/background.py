"""White balance by the image's own background, so that bare glass is white on every microscope."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

WHITE = 238
"""Level of the balanced background in every channel; it leaves room up to 255 for brighter pixels."""

PERCENTILE = 85
"""Percentile of each channel that counts as background: glass is bright and covers a sixth of most images."""

GRID, TILES = 48, 6
"""Longer side, in pixels, of the image on which the background is estimated, and number of tiles along each side."""

RIDGE = 0.005
"""Ridge penalty on the slopes of the background, as a share of the sum of squares; for little glass."""

DARK = 0.05
"""Natural optical density, relative to the surface, from which a tile counts as cells."""


def white_balance(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Divide each channel by the background, so that glass becomes `WHITE` everywhere in the image.

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

    Illumination and camera gains are multiplicative, so the logarithm is modelled, by a quadratic polynomial of the
    position; it follows vignetting and coloured light. It is fitted by least squares to the 85th percentiles of tiles,
    without tiles that are darker than the surface. Its level is each channel's 85th percentile relative to the surface.

    Args:
        rgb: uint8 (H, W, 3).

    Returns:
        float32 (h, w, 3), levels of 255, at most `GRID` pixels wide and high.
    """
    height, width = rgb.shape[:2]
    scale = GRID / max(height, width)
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    logs = np.log(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) + 1.0)
    terms = _terms(size[1], size[0])
    parts = [np.array_split(np.arange(n), min(TILES, n)) for n in logs.shape[:2]]
    tiles = [(rows[:, None] * size[0] + columns).ravel() for rows in parts[0] for columns in parts[1]]
    pixels = logs.reshape(-1, 3)
    levels = np.stack([np.percentile(pixels[tile], PERCENTILE, axis=0) for tile in tiles])
    places = np.stack([terms[tile].mean(axis=0) for tile in tiles])
    glass, slopes = np.ones(len(tiles), np.bool_), np.zeros((5, 3))
    for _ in range(4):
        centred = places[glass] - places[glass].mean(axis=0)
        left = centred.T @ centred + RIDGE * len(tiles) * np.eye(5)
        slopes = np.linalg.solve(left, centred.T @ (levels[glass] - levels[glass].mean(axis=0)))
        flat = (levels - places @ slopes).mean(axis=1)
        glass = flat >= min(np.percentile(flat, 85) - DARK, np.percentile(flat, 60))
    surface = terms @ slopes
    level = np.percentile(pixels - surface, PERCENTILE, axis=0)
    return np.asarray(np.exp(surface + level) - 1.0, np.float32).reshape(logs.shape)


def _terms(height: int, width: int) -> NDArray[np.float64]:
    """Return the first- and second-order terms of the position, (height * width, 5), from -1 to 1."""
    rows, columns = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([rows, columns, rows**2, columns**2, rows * columns], axis=-1).reshape(-1, 5)
