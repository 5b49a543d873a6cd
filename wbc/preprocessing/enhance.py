"""Enhancement filter: four variants of a chain of steps that emphasises the structure of a leukocyte.

    v1   percentile normalisation, two-scale CLAHE, bilateral, nucleus gradients, Laplacian-of-Gaussian sharpening
    v2   the CLAHE is a single adaptive one
    v3   v2 with top-hat and black-hat contrast after the bilateral filter
    v4   v3 after a Macenko stain normalisation
    none no step

Every step is a pure function from an RGB image that `stain.as_rgb_uint8` accepts to uint8 RGB of the same shape
(H, W, 3). A constant image stays constant.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter
from wbc.preprocessing import stain
from wbc.preprocessing.stain import UNCALIBRATED, MacenkoReference, Rgb, as_rgb_uint8

__all__ = [
    "UNCALIBRATED",
    "VARIANTS",
    "Variant",
    "bilateral",
    "clahe_adaptive",
    "clahe_two_scale",
    "enhance",
    "hat_contrast",
    "log_sharpen",
    "nucleus_gradients",
    "percentile_normalise",
]

Variant = Literal["none", "v1", "v2", "v3", "v4"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)

LOW_PERCENTILE, HIGH_PERCENTILE = 2.0, 98.0  # published settings of the filter

COARSE_GRID, FINE_GRID = (4, 4), (8, 8)  # published settings: nuclei, cytoplasm
CLIP_LIMIT = 2.0
"""Usual CLAHE clip limit in OpenCV; the publication does not state one."""

CLIP_LIMIT_RANGE = (1.0, 4.0)
CONTRAST_REFERENCE = 58.0
"""Standard deviation of 8-bit L at which the adaptive clip limit is `CLIP_LIMIT`: the median of 100 images of the PBC
training split after percentile normalisation (5th-95th percentile: 53-65)."""

CANNY_LOW, CANNY_HIGH = 50.0, 150.0  # the 1:3 ratio Canny recommends, at the scale of an 8-bit image

BILATERAL_DIAMETER, BILATERAL_SIGMA = 9, 65.0  # d=9, sigmaColor=sigmaSpace=65: published settings

NUCLEUS_DARKNESS = 128
"""Green absorbance (255 - G) from which a neighbourhood starts to count as nuclear."""
INNER_GAIN, OUTER_GAIN = 0.30, 0.10
HAT_DIAMETER, HAT_GAIN = 9, 0.5
LOG_SIGMA, LOG_GAIN = 1.0, 0.5
# The publication does not state these gains. They were set by eye on 224x224 cells: chromatin, lobes and the thin rim
# of cytoplasm of lymphocytes stay visible, and halos are narrower than the rim.

_SQUARE_3 = np.ones((3, 3), np.uint8)
_SQUARE_5 = np.ones((5, 5), np.uint8)
_SQUARE_7 = np.ones((7, 7), np.uint8)
_HAT_DISC = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (HAT_DIAMETER, HAT_DIAMETER)), np.uint8)
_NUCLEAR = np.clip((np.arange(256) - NUCLEUS_DARKNESS) * 255.0 / (255 - NUCLEUS_DARKNESS), 0, 255).astype(np.uint8)


def enhance(rgb: NDArray[Any], variant: Variant, macenko: MacenkoReference | None = None) -> Rgb:
    """Run one variant of the filter.

    Args:
        rgb: RGB, shape (H, W, 3), uint8 or float (see `stain.as_rgb_uint8`).
        variant: one of `VARIANTS`; `none` returns the image, and a uint8 array without a copy.
        macenko: reference for v4; the other variants ignore it. `UNCALIBRATED` is the published setting.

    Returns:
        RGB uint8, shape (H, W, 3).

    Raises:
        InvalidParameter: unknown variant, v4 without a reference, or not an RGB image.
    """
    if variant not in VARIANTS:
        raise InvalidParameter(f"preprocessing variant {variant!r}; one of {', '.join(VARIANTS)} is accepted")
    image = as_rgb_uint8(rgb)
    if variant == "none":
        return image
    if variant == "v4":
        if macenko is None:
            raise InvalidParameter(
                "preprocessing variant 'v4' without a Macenko reference; a fitted reference is needed"
            )
        image = stain.macenko(image, macenko)
    image = percentile_normalise(image)
    image = clahe_two_scale(image) if variant == "v1" else clahe_adaptive(image)
    image = bilateral(image)
    if variant in ("v3", "v4"):
        image = hat_contrast(image)
    return log_sharpen(nucleus_gradients(image))


def percentile_normalise(rgb: NDArray[Any]) -> Rgb:
    """Stretch each channel so that its 2nd percentile becomes 0 and its 98th 255.

    The percentiles are grey levels of the image (NumPy's method "lower"). A channel with equal percentiles does not
    change.
    """
    image = as_rgb_uint8(rgb)
    pixels = image.shape[0] * image.shape[1]
    ranks = [int(percent / 100.0 * (pixels - 1)) for percent in (LOW_PERCENTILE, HIGH_PERCENTILE)]
    levels = np.arange(256, dtype=np.float32)
    table = np.empty((256, 1, 3), np.uint8)
    for channel in range(3):
        counts = np.asarray(cv2.calcHist([image], [channel], None, [256], [0, 256])).ravel()
        low, high = np.searchsorted(np.cumsum(counts, dtype=np.float64), ranks, side="right").tolist()
        stretched = levels if low == high else np.clip((levels - low) * (255.0 / (high - low)), 0, 255)
        table[:, 0, channel] = np.rint(stretched)
    return _rgb(cv2.LUT(image, table))


def clahe_two_scale(rgb: NDArray[Any]) -> Rgb:
    """Apply CLAHE to L of LAB with a fine tile grid at edges and a coarse one elsewhere.

    `L' = coarse + (fine - coarse) * w`, with w in [0, 1]: Canny edges of L, dilated by 5x5 and smoothed by a Gaussian
    of the same size. The fine grid (8x8) emphasises granules and cytoplasm borders at edges. In smooth areas it would
    amplify noise; there the coarse grid (4x4) preserves the nucleus.
    """
    lab = cv2.cvtColor(as_rgb_uint8(rgb), cv2.COLOR_RGB2LAB)
    lightness = cv2.extractChannel(lab, 0)
    coarse = cv2.createCLAHE(CLIP_LIMIT, COARSE_GRID).apply(lightness)
    fine = cv2.createCLAHE(CLIP_LIMIT, FINE_GRID).apply(lightness)
    weight = cv2.GaussianBlur(cv2.dilate(cv2.Canny(lightness, CANNY_LOW, CANNY_HIGH), _SQUARE_5), (5, 5), 0)
    difference = cv2.subtract(fine, coarse, dtype=cv2.CV_16S)
    step = cv2.multiply(difference, weight, scale=1.0 / 255.0, dtype=cv2.CV_16S)
    cv2.insertChannel(cv2.add(coarse, step, dtype=cv2.CV_8U), lab, 0)
    return _rgb(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def clahe_adaptive(rgb: NDArray[Any]) -> Rgb:
    """Apply CLAHE to L of LAB with 8x8 tiles, more strongly at low contrast.

    The clip limit is `CLIP_LIMIT * CONTRAST_REFERENCE / std(L)`, clipped to `CLIP_LIMIT_RANGE`: 2.0 at a standard
    deviation of 58, 4.0 at 29 and below.
    """
    lab = cv2.cvtColor(as_rgb_uint8(rgb), cv2.COLOR_RGB2LAB)
    lightness = cv2.extractChannel(lab, 0)
    contrast = float(np.asarray(cv2.meanStdDev(lightness)[1]).item())
    wanted = CLIP_LIMIT * CONTRAST_REFERENCE / max(contrast, 1.0)
    limit = min(max(wanted, CLIP_LIMIT_RANGE[0]), CLIP_LIMIT_RANGE[1])
    cv2.insertChannel(cv2.createCLAHE(limit, FINE_GRID).apply(lightness), lab, 0)
    return _rgb(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def bilateral(rgb: NDArray[Any]) -> Rgb:
    """Apply a bilateral filter, d=9, sigma 65 in colour and space."""
    # Not the default border: it uses Intel IPP, which is 2.5 times slower on three channels and differs by a grey
    # level from the code path on other processors.
    return _rgb(
        cv2.bilateralFilter(
            as_rgb_uint8(rgb), BILATERAL_DIAMETER, BILATERAL_SIGMA, BILATERAL_SIGMA, borderType=cv2.BORDER_REFLECT
        )
    )


def hat_contrast(rgb: NDArray[Any]) -> Rgb:
    """Brighten small bright details and darken small dark ones by half their top-hat and black-hat.

    `I' = I + 0.5 * (tophat(Y) - blackhat(Y))` for each channel I and the grey image Y, with a disc of 9 pixels.
    """
    image = as_rgb_uint8(rgb)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    top = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, _HAT_DISC)
    black = cv2.morphologyEx(grey, cv2.MORPH_BLACKHAT, _HAT_DISC)
    return _shift(image, cv2.addWeighted(top, HAT_GAIN, black, -HAT_GAIN, 0.0, dtype=cv2.CV_16S))


def nucleus_gradients(rgb: NDArray[Any]) -> Rgb:
    """Separate the nucleus from the cytoplasm by its inner 3x3 and outer 7x7 morphological gradients.

    With the absorbance S = 255 - G (nuclei absorb most in green), the inner gradient `S - erode3(S)` is the rim and the
    chromatin of the nucleus, and the outer gradient `dilate7(S) - S` is the band around it. Each channel I becomes
    `I' = I + w * (0.1 * outer - 0.3 * inner)`: a darker rim in a lighter band, which separates lobes; subtracting both
    would merge them. w rises from 0 to 1 with `dilate7(S)` from 128 to 255, so that pale areas and red cells do not
    change.
    """
    image = as_rgb_uint8(rgb)
    absorbance = cv2.bitwise_not(cv2.extractChannel(image, 1))
    widened = cv2.dilate(absorbance, _SQUARE_7)
    inner = cv2.subtract(absorbance, cv2.erode(absorbance, _SQUARE_3))
    outer = cv2.subtract(widened, absorbance)
    blend = cv2.addWeighted(outer, OUTER_GAIN, inner, -INNER_GAIN, 0.0, dtype=cv2.CV_16S)
    weight = cv2.LUT(widened, _NUCLEAR)
    return _shift(image, cv2.multiply(blend, weight, scale=1.0 / 255.0, dtype=cv2.CV_16S))


def log_sharpen(rgb: NDArray[Any]) -> Rgb:
    """Sharpen only edges, by the Laplacian of Gaussian of the grey image.

    `I' = I - 0.5 * LoG(Y)` for each channel I, sigma 1, within one pixel of a Canny edge of Y. Other pixels do not
    change.
    """
    image = as_rgb_uint8(rgb)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    laplacian = cv2.Laplacian(cv2.GaussianBlur(grey, (5, 5), LOG_SIGMA), cv2.CV_16S, ksize=1)
    edges = cv2.dilate(cv2.Canny(grey, CANNY_LOW, CANNY_HIGH), _SQUARE_3)
    return _shift(image, cv2.multiply(laplacian, edges, scale=-LOG_GAIN / 255.0, dtype=cv2.CV_16S))


def _shift(image: Rgb, step: Any) -> Rgb:
    """Add one signed step, shape (H, W), to all three channels with saturation; this keeps the hue."""
    return _rgb(cv2.add(image, cv2.merge([step, step, step]), dtype=cv2.CV_8U))


def _rgb(image: Any) -> Rgb:
    return np.asarray(image, dtype=np.uint8)
