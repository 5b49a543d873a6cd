"""Framing: one square window an image, with the cell in its middle and at a comparable size on every device."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.preprocessing.foreground import Foreground, find_foreground


class Framing(BaseModel):
    """How the window is chosen; part of the bundle.

    The ruler is the nucleus, which is found more reliably than the cell. Scaling every nucleus to one size would remove
    what tells a lymphocyte from a monocyte, so only a part of the difference in size is taken out: a nucleus
    of diameter `d` (share of the frame) ends at `canonical * (d / canonical) ** (1 - strength)`. Of two sources of
    variance, between devices (log sd about 0.35) and between cells of one device (0.17 to 0.2), the best guess of the
    device's factor from one cell takes out 0.35² / (0.35² + 0.2²), about three quarters.

    Attributes:
        mode: `window` cuts a square around the found cell, a set multiple of its diameter wide, white outside the
            picture; `cell` is the framing of the first models, by the nucleus, mirrored outside the picture; `off`
            keeps the whole picture, padded to a square.
        diameters: side of the window in diameters of the cell, for `window`.
        canonical: diameter that a nucleus should have, share of the frame's side. The training split's median is 0.26.
        strength: 0 leaves the size as it is, 1 makes every nucleus equally large.
        min_zoom: least magnification; below 1 the window is larger than the picture and its border is reflected.
        max_zoom: largest magnification.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["window", "cell", "off"] = "window"
    diameters: float = Field(1.5, gt=0.5, le=10)
    canonical: float = Field(0.3, gt=0, lt=1)
    strength: float = Field(0.75, ge=0, le=1)
    min_zoom: float = Field(0.5, gt=0)
    max_zoom: float = Field(2.0, gt=0)


def window_of(framing: Framing, found: Foreground) -> tuple[tuple[float, float], float]:
    """The window around a found cell: its middle (x, y) and its side, in pixels of the picture.

    Without a valid cell it is the smallest square that holds the picture.
    """
    height, width = found.cell.shape
    if not found.valid:
        return ((width - 1) / 2.0, (height - 1) / 2.0), float(max(height, width))
    rows, columns = np.nonzero(found.cell)
    return (float(columns.mean()), float(rows.mean())), framing.diameters * found.cell_diameter


def zoom_factor(framing: Framing, foreground: Foreground) -> float:
    """Magnification of the frame: 1 where framing is off, or the nucleus was not found or runs out of the picture."""
    if framing.mode != "cell" or not foreground.valid or foreground.nucleus_touches_border:
        return 1.0
    # The longer side is what the window spans at zoom 1.
    diameter = foreground.nucleus_diameter / max(foreground.nucleus.shape)
    zoom = (framing.canonical / diameter) ** framing.strength
    return float(np.clip(zoom, framing.min_zoom, framing.max_zoom))


def frame(
    rgb: NDArray[np.uint8], size: int, framing: Framing, foreground: Foreground | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut the window and resize it.

    Args:
        rgb: uint8 (H, W, 3).
        size: side of the result in pixels.
        framing: how the window is chosen.
        foreground: the found cell, where it is known already.

    Returns:
        The window, uint8 (size, size, 3), and the affine map (2, 3) from picture to window pixels.
    """
    height, width = rgb.shape[:2]
    if framing.mode == "cell" and foreground is None:
        foreground = find_foreground(rgb)
    zoom, (x, y) = 1.0, ((width - 1) / 2.0, (height - 1) / 2.0)
    # A nucleus that runs out of the picture has no known size, and centring it would mirror it.
    if framing.mode == "cell" and foreground is not None and foreground.valid and not foreground.nucleus_touches_border:
        zoom, (x, y) = zoom_factor(framing, foreground), foreground.centre
    scale = size / max(height, width) * zoom
    if zoom == 1.0 and height == width == size and abs(x - (size - 1) / 2) + abs(y - (size - 1) / 2) < 1e-9:
        return rgb.copy(), np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    source = rgb
    if scale < 1.0:  # warpAffine samples and does not average: shrink by areas first
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
