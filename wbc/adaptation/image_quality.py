"""Image quality: sharpness, brightness and contrast of the framed cell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

BACKGROUND_PERCENTILE = 85.0
"""Percentile of the grey levels that counts as background, as in `preprocessing.foreground`."""

DARK_PERCENTILE = 2.0
"""Percentile of the grey levels that counts as the darkest part of the nucleus; it ignores single bad pixels."""

SCALE = 1.0
"""Standard deviation, in pixels, of the Gaussian blur that removes noise and rounding before detail is measured."""


@dataclass(frozen=True, slots=True)
class ImageQuality:
    """Quality of one framed image.

    Attributes:
        sharpness: standard deviation of the Laplacian over that of the grey levels, both after the blur; independent
            of the contrast. 0 for one colour, about 0.9 for noise.
        brightness: level of the background, 0 to 1.
        contrast: background minus the darkest part, 0 to 1.
    """

    sharpness: float
    brightness: float
    contrast: float


def image_quality(rgb: NDArray[np.uint8]) -> ImageQuality:
    """Measure the quality of a framed image, uint8 (S, S, 3)."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    smooth = cv2.GaussianBlur(grey, (0, 0), SCALE)
    spread = float(smooth.std())
    detail = float(cv2.Laplacian(smooth, cv2.CV_32F, ksize=1).std())
    dark, background = np.percentile(grey, [DARK_PERCENTILE, BACKGROUND_PERCENTILE])
    # Rounding alone gives a uniform image a standard deviation of up to half a level.
    sharpness = detail / spread if spread > 0.5 else 0.0
    return ImageQuality(sharpness, float(background) / 255.0, float(background - dark) / 255.0)
