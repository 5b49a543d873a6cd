"""Render class activation maps: at full size, and as an overlay on the cell."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from wbc.preprocessing.foreground import Foreground

# OpenCV's tables are BGR. Inferno is perceptually uniform (van der Walt & Smith 2015).
INFERNO: NDArray[np.uint8] = np.ascontiguousarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1]
)
"""Colours of the map, (256, 3) RGB, from 0 to 1."""

CONTOUR = (0, 229, 160)
"""RGB of the outline of the cell; inferno has no green."""


def heatmap(cam: NDArray[np.floating], size: int) -> NDArray[np.float32]:
    """Resize a map to the image, bilinear, and scale it to a maximum of 1; an all-zero map stays zero.

    Args:
        cam: (h, w), not negative.
        size: side of the result in pixels.

    Returns:
        float32 (size, size) in [0, 1].
    """
    full = cv2.resize(np.asarray(cam, np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    peak = float(full.max())
    return np.asarray(full / peak if peak > 0 else np.zeros_like(full), np.float32)


def grey(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Convert a map to an 8-bit grey image, uint8 (S, S)."""
    return np.asarray(np.rint(heat * 255.0), np.uint8)


def overlay(
    rgb: NDArray[np.uint8], heat: NDArray[np.float32], foreground: Foreground, *, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """Blend the map over the image, more opaque where it is stronger, and draw the outline of the cell.

    The map is not masked: attention on the background stays visible.

    Args:
        rgb: uint8 (S, S, 3).
        heat: float32 (S, S) in [0, 1].
        foreground: the cell; its outline is drawn if it is valid.
        opacity: opacity of the maximum of the map, 0 to 1.
    """
    alpha = opacity * np.sqrt(heat)
    out = np.asarray(cv2.blendLinear(rgb, INFERNO[grey(heat)], 1.0 - alpha, alpha), np.uint8)
    if foreground.valid:
        outline, _ = cv2.findContours(foreground.cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(out, outline, -1, CONTOUR, 1, cv2.LINE_AA)
    return out


def with_colour_bar(picture: NDArray[np.uint8], *, width: int = 44) -> NDArray[np.uint8]:
    """Append a colour bar to the right; 1 is the maximum of the map, not a probability.

    Args:
        picture: uint8 (H, W, 3), an overlay.
        width: width of the bar in pixels.

    Returns:
        uint8 (H, W + width, 3).
    """
    height = picture.shape[0]
    margin, bar = 8, 12
    strip = np.full((height, width, 3), 255, np.uint8)
    levels = np.linspace(255, 0, max(1, height - 2 * margin)).round().astype(np.uint8)
    strip[margin : margin + len(levels), 6 : 6 + bar] = INFERNO[levels][:, None]
    image = Image.fromarray(strip)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(10)
    for value in (1.0, 0.5, 0.0):
        y = margin + (1.0 - value) * (len(levels) - 1)
        pen.line((6 + bar, y, 9 + bar, y), fill=(24, 24, 24))
        pen.text((12 + bar, y), f"{value:g}", (24, 24, 24), font, anchor="lm")
    return np.concatenate([picture, np.asarray(image, np.uint8)], axis=1)
