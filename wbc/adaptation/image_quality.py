"""How good a picture is, whatever it shows: sharpness, brightness and contrast of the framed cell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND_PERCENTILE = 85.0
"""Of the grey levels, as in `preprocessing.foreground`: the light that met no cell."""

DARK_PERCENTILE = 2.0
"""Of the grey levels: the darkest part of the nucleus without single bad pixels."""


SCALE = 1.0
"""Standard deviation, in pixels, of a blur before detail is measured: noise and rounding are no detail."""


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """Measures of one framed picture.

    Attributes:
        sharpness: standard deviation of the Laplacian over that of the grey levels, both after a blur of `SCALE`: fine
            detail as a share of all detail, whatever the contrast. 0 for one colour, about 0.9 for noise.
        brightness: level of the background, 0 to 1.
        contrast: background less the darkest part, 0 to 1.
    """

    sharpness: float
    brightness: float
    contrast: float


def image_quality(rgb: NDArray[np.uint8]) -> ImageQuality:
    """Measure a framed picture, uint8 (S, S, 3)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), SCALE)
    spread = float(smooth.std())
    detail = float(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1).std())
    dark, background = np.percentile(grey, [DARK_PERCENTILE, BACKGROUND_PERCENTILE])
    # Half a level of spread is what rounding alone makes of one colour.
    sharpness = detail / spread if spread > 0.5 else 0.0
    return ImageQuality(sharpness, float(background) / 255.0, float(background - dark) / 255.0)
