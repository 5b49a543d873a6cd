"""Framing: one square window per image, with the cell in its centre and at a comparable size on every device."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.preprocessing.foreground import Foreground, find_foreground


class Framing(BaseModel):
    """Configuration of the window; part of the bundle.

    `cell` scales by the nucleus, which is found more reliably than the cell. Equal nuclei would remove the difference
    between lymphocytes and monocytes, so only a part of the difference in size is removed: a nucleus of diameter `d`
    (share of the frame) becomes `canonical * (d / canonical) ** (1 - strength)`. The log standard deviation is about
    0.35 between devices and 0.17 to 0.2 between cells of one device, so the best estimate of the device's factor from
    one cell removes 0.35² / (0.35² + 0.2²), about three quarters.

    Attributes:
        mode: `window` crops a square around the cell, a fixed multiple of its diameter wide, white outside the image;
            `cell` is the framing of the first models, by the nucleus, reflected outside the image; `off` keeps the
            whole image, padded to a square.
        diameters: `window`: side of the window in diameters of the cell.
        canonical: `cell`: intended diameter of a nucleus as a share of the frame's side; the training median is 0.26.
        strength: `cell`: 0 keeps the size, 1 makes all nuclei equally large.
        min_zoom: `cell`: least magnification; below 1 the window is larger than the image and its border is reflected.
        max_zoom: `cell`: largest magnification.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["window", "cell", "off"] = "window"
    diameters: float = Field(1.5, gt=0.5, le=10)
    canonical: float = Field(0.3, gt=0, lt=1)
    strength: float = Field(0.75, ge=0, le=1)
    min_zoom: float = Field(0.5, gt=0)
    max_zoom: float = Field(2.0, gt=0)


def window_of(framing: Framing, found: Foreground) -> tuple[tuple[float, float], float]:
    """Return the window around a cell: its centre (x, y) and its side, in pixels of the image.

    Without a valid cell it is the smallest square that contains the image.
    """
    height, width = found.cell.shape
    if not found.valid:
        return ((width - 1) / 2.0, (height - 1) / 2.0), float(max(height, width))
    rows, columns = np.nonzero(found.cell)
    return (float(columns.mean()), float(rows.mean())), framing.diameters * found.cell_diameter


def zoom_factor(framing: Framing, foreground: Foreground) -> float:
    """Return the magnification: 1 if the mode is not `cell` or the nucleus was not found or is cut off by the image."""
    if framing.mode != "cell" or not foreground.valid or foreground.nucleus_touches_border:
        return 1.0
    # At zoom 1 the window is as wide as the longer side.
    diameter = foreground.nucleus_diameter / max(foreground.nucleus.shape)
    zoom = (framing.canonical / diameter) ** framing.strength
    return float(np.clip(zoom, framing.min_zoom, framing.max_zoom))


def frame(
    rgb: NDArray[np.uint8], size: int, framing: Framing, foreground: Foreground | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Crop the window for the modes `cell` and `off` and resize it.

    Args:
        rgb: uint8 (H, W, 3).
        size: side of the result in pixels.
        framing: configuration of the window.
        foreground: the cell, if it is known already.

    Returns:
        The window, uint8 (size, size, 3), and the affine map (2, 3) from image to window pixels.
    """
    height, width = rgb.shape[:2]
    if framing.mode == "cell" and foreground is None:
        foreground = find_foreground(rgb)
    zoom, (x, y) = 1.0, ((width - 1) / 2.0, (height - 1) / 2.0)
    # A nucleus that is cut off has no known size, and a window centred on it would contain its reflection.
    if framing.mode == "cell" and foreground is not None and foreground.valid and not foreground.nucleus_touches_border:
        zoom, (x, y) = zoom_factor(framing, foreground), foreground.centre
    scale = size / max(height, width) * zoom
    if zoom == 1.0 and height == width == size and abs(x - (size - 1) / 2) + abs(y - (size - 1) / 2) < 1e-9:
        return rgb.copy(), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    source = rgb
    if scale < 1.0:  # warpAffine does not average: downsample by area first
        shrunk = (max(1, round(width * scale)), max(1, round(height * scale)))
        source = np.asarray(cv2.resize(rgb, shrunk, interpolation=cv2.INTER_AREA), np.uint8)
    step_x, step_y = source.shape[1] / width, source.shape[0] / height
    matrix = np.array(
        [
            [scale / step_x, 0.0, (size - 1) / 2.0 - scale / step_x * ((x + 0.5) * step_x - 0.5)],
            [0.0, scale / step_y, (size - 1) / 2.0 - scale / step_y * ((y + 0.5) * step_y - 0.5)],
        ]
    )
    window = cv2.warpAffine(source, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    to_window = np.array([[scale, 0.0, (size - 1) / 2.0 - scale * x], [0.0, scale, (size - 1) / 2.0 - scale * y]])
    return np.asarray(window, np.uint8), to_window
