"""From a class activation map to pictures: the map at full size, and laid over the cell."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

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


def grey(heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The map alone as a picture: uint8 (S, S), 255 where it is 1."""
    return np.asarray(np.rint(heat * 255.0), np.uint8)


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
    alpha = opacity * np.sqrt(heat)
    out = np.asarray(cv2.blendLinear(rgb, INFERNO[grey(heat)], 1.0 - alpha, alpha), np.uint8)
    if foreground.valid:
        outline, _ = cv2.findContours(foreground.cell.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(out, outline, -1, CONTOUR, 1, cv2.LINE_AA)
    return out


def with_colour_bar(picture: NDArray[np.uint8], *, width: int = 44) -> NDArray[np.uint8]:
    """The picture with the scale of its colours to the right: 1 is the map's maximum, not a probability.

    Args:
        picture: uint8 (H, W, 3), an overlay.
        width: pixels that are added.

    Returns:
        uint8 (H, W + width, 3); the picture itself is unchanged.
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
