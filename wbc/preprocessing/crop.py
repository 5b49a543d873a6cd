"""Crop of a square window around a cell, with its real surroundings."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def window(
    rgb: NDArray[np.uint8], centre: tuple[float, float], side: float, size: int, *, outside: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Crop a square from an image and resize it.

    Args:
        rgb: uint8 (H, W, 3).
        centre: (x, y) of the window's centre in pixels of the image.
        side: side of the window in pixels of the image.
        size: side of the result in pixels.
        outside: level of pixels outside the image; None takes the 85th percentile of each channel.

    Returns:
        The window, uint8 (size, size, 3), and the affine map (2, 3) from image to window pixels.
    """
    scale = size / side
    step = min(1.0, scale)
    source = rgb
    if step < 1.0:  # warpAffine does not average: downsample by area first
        shrunk = (max(1, round(rgb.shape[1] * step)), max(1, round(rgb.shape[0] * step)))
        source = np.asarray(cv2.resize(rgb, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    to_window = np.array(
        [[scale, 0.0, (size - 1) / 2 - scale * centre[0]], [0.0, scale, (size - 1) / 2 - scale * centre[1]]]
    )
    # Pixel p of the image is pixel (p + 0.5) * ratio - 0.5 of the downsampled one.
    ratio = np.array([source.shape[1] / rgb.shape[1], source.shape[0] / rgb.shape[0]])
    matrix = to_window.copy()
    matrix[:, :2] /= ratio
    matrix[:, 2] += scale * (0.5 / ratio - 0.5)
    level = np.percentile(rgb[::4, ::4].reshape(-1, 3), 85, axis=0) if outside is None else (outside,) * 3
    cut = cv2.warpAffine(
        source, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=tuple(level)
    )
    return np.asarray(cut, np.uint8), to_window
