"""Stain normalisation: Reinhard in LAB and Macenko in optical density, each with a fitted reference.

Images are RGB, shape (H, W, 3), uint8 or float (see `as_rgb_uint8`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveFloat, field_validator

from wbc.errors import InvalidParameter

Rgb = NDArray[np.uint8]
Triple = tuple[float, float, float]

FLAT_STD = 0.05
"""LAB standard deviation below which a channel is constant: in an 8-bit image only rounding is as small."""

TRANSMITTED_LIGHT = 240.0
"""Io, the grey level of light that passed no stain; 240 in the common implementations of Macenko 2009."""

OD_THRESHOLD = 0.15
"""beta, natural optical density below which a pixel is background; same source."""

ANGLE_PERCENTILE = 1.0
"""alpha, percentile of the robust extremes of the angles; same source."""

MIN_STAINED_FRACTION = 0.01
MIN_STAINED_PIXELS = 64
"""Smallest share and smallest number of stained pixels; both must be reached. At 224x224 that is 502 pixels."""

MIN_PLANE_VARIANCE = 1e-4
"""Second eigenvalue of the covariance of the optical densities below which they are collinear, as in a grey image."""

MIN_STAIN_ANGLE_SIN = 0.02
"""Smallest sine of the angle between the stain vectors; below about one degree the concentrations are unstable."""


def as_rgb_uint8(image: NDArray[Any]) -> Rgb:
    """Return an RGB image as contiguous uint8; a contiguous uint8 array is not copied.

    Args:
        image: shape (H, W, 3), H and W at least 1; uint8, or finite floats, all within [0, 1] (scaled by 255) or all
            within [0, 255] (rounded).

    Raises:
        InvalidParameter: another shape, type or range.
    """
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InvalidParameter(f"image of shape {image.shape}; an RGB image of shape (height, width, 3) is accepted")
    if image.dtype == np.uint8:
        return np.ascontiguousarray(image)
    if not np.issubdtype(image.dtype, np.floating):
        raise InvalidParameter(f"image of type {image.dtype}; uint8, or float within [0, 1] or [0, 255], is accepted")
    low, high = float(image.min()), float(image.max())  # both are NaN if a pixel is
    if not (low >= 0.0 and high <= 255.0):
        raise InvalidParameter(
            f"float image of range [{low:g}, {high:g}]; finite values within [0, 1] or [0, 255] are accepted"
        )
    scale = 255.0 if high <= 1.0 else 1.0
    return np.ascontiguousarray(np.rint(image.astype(np.float32) * np.float32(scale)).astype(np.uint8))


class _Reference(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ReinhardReference(_Reference):
    """Mean and standard deviation of each LAB channel over a set of images.

    LAB is OpenCV's float LAB (D65, sRGB): L in [0, 100], a and b signed, about [-127, 127].

    Source: Reinhard et al. 2001, doi 10.1109/38.946629, with CIE LAB instead of l-alpha-beta, as is usual for stained
    slides.
    """

    mean: Triple
    std: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat]

    @classmethod
    def fit(cls, images: Iterable[NDArray[Any]]) -> Self:
        """Compute the statistics of all pixels of all images, one image at a time.

        Raises:
            InvalidParameter: there is no image, or one is not an RGB image.
        """
        pixels, total, squares = 0, np.zeros(3), np.zeros(3)
        for image in images:
            mean, std = _moments(_to_lab(as_rgb_uint8(image)))
            size = image.shape[0] * image.shape[1]
            pixels += size
            total += size * mean
            squares += size * (std**2 + mean**2)
        if pixels == 0:
            raise InvalidParameter("no image to fit a Reinhard reference on; at least one is needed")
        mean = total / pixels
        std = np.sqrt(np.maximum(squares / pixels - mean**2, 0.0))
        return cls(mean=_triple(mean), std=_triple(std))


def reinhard(rgb: NDArray[Any], reference: ReinhardReference) -> Rgb:
    """Shift and scale each LAB channel to the reference's mean and standard deviation.

    `out = (in - mean(in)) * std(ref) / std(in) + mean(ref)` per channel, converted to RGB, clipped and rounded. A
    constant channel is only shifted, so that a constant image stays constant.

    Args:
        rgb: RGB, shape (H, W, 3).
        reference: statistics to match.

    Returns:
        RGB uint8, shape (H, W, 3).

    Raises:
        InvalidParameter: not an RGB image.
    """
    lab = _to_lab(as_rgb_uint8(rgb))
    mean, std = _moments(lab)
    target = np.asarray(reference.std)
    gain = np.where(std < FLAT_STD, 1.0, target / np.maximum(std, FLAT_STD))
    shift = np.asarray(reference.mean) - gain * mean
    lab *= gain.astype(np.float32)
    lab += shift.astype(np.float32)
    return _scaled_to_uint8(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))


def reinhard_distance(rgb: NDArray[Any], reference: ReinhardReference) -> float:
    """Return the colour difference between the mean of an image and that of the reference, CIE76 delta E.

    It is the Euclidean distance in LAB: 0 for equal colours, about 2 at the threshold of visibility.

    Args:
        rgb: RGB, shape (H, W, 3), framed like the images of the reference.
        reference: statistics of the training split.

    Raises:
        InvalidParameter: not an RGB image.
    """
    mean, _ = _moments(_to_lab(as_rgb_uint8(rgb)))
    return float(np.linalg.norm(mean - np.asarray(reference.mean)))


class MacenkoReference(_Reference):
    """Two stain vectors and their maximum concentrations.

    Each row of `stain_matrix` is a unit vector of RGB optical density (natural logarithm), haematoxylin first: the row
    with the larger red component. `max_concentrations` are 99th percentiles in the order of the rows.

    Macenko assumes haematoxylin and eosin, two stains with two fixed directions. Blood films are Romanowsky-stained
    (azure B and eosin Y, whose complex has a third colour): two vectors describe them only roughly, and the vectors of
    another stain change every colour (`UNCALIBRATED`).

    Source: Macenko et al. 2009, doi 10.1109/ISBI.2009.5193250.
    """

    stain_matrix: tuple[Triple, Triple]
    max_concentrations: tuple[PositiveFloat, PositiveFloat]

    @field_validator("stain_matrix")
    @classmethod
    def _unit_and_apart(cls, rows: tuple[Triple, Triple]) -> tuple[Triple, Triple]:
        lengths = np.linalg.norm(rows, axis=1)
        if np.abs(lengths - 1.0).max() > 1e-3:
            raise ValueError(f"stain vectors of length {lengths.round(4).tolist()}; unit vectors are accepted")
        if float(np.linalg.norm(np.cross(rows[0], rows[1]))) < MIN_STAIN_ANGLE_SIN:
            raise ValueError("the two stain vectors are parallel; two directions are needed")
        return rows

    @classmethod
    def fit(cls, images: Iterable[NDArray[Any]]) -> Self:
        """Take the median of the images' own stain vectors and maximum concentrations.

        Unlike statistics of all pixels, the median needs one pass and is robust to badly stained films. Images with too
        little stain (see `macenko`) are left out.

        Raises:
            InvalidParameter: no image has enough stain, or one is not an RGB image.
        """
        found = [stains for image in images if (stains := _stains(_optical_density(as_rgb_uint8(image)))) is not None]
        if not found:
            raise InvalidParameter("no image with enough stain to fit a Macenko reference on; at least one is needed")
        rows = np.median([matrix for matrix, _ in found], axis=0)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        first, second = np.median([maxima for _, maxima in found], axis=0).tolist()
        return cls(stain_matrix=(_triple(rows[0]), _triple(rows[1])), max_concentrations=(first, second))


UNCALIBRATED = MacenkoReference(
    stain_matrix=((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581)),
    max_concentrations=(1.9705, 1.0308),
)
"""Haematoxylin and eosin in the common implementations of Macenko 2009, not fitted to blood films. It reproduces the
published v4, with an accuracy of 57.78%."""


def macenko(rgb: NDArray[Any], reference: MacenkoReference) -> Rgb:
    """Replace the stains of an image by those of the reference; relative concentrations stay.

    An image is returned unchanged if two stain directions cannot be found: fewer stained pixels than
    `MIN_STAINED_FRACTION` of the image or `MIN_STAINED_PIXELS`, collinear colours (grey or constant), or two stains
    less than about a degree apart.

    Args:
        rgb: RGB, shape (H, W, 3).
        reference: stains of the result.

    Returns:
        RGB uint8, shape (H, W, 3).

    Raises:
        InvalidParameter: not an RGB image.
    """
    image = as_rgb_uint8(rgb)
    density = _optical_density(image)
    stains = _stains(density)
    if stains is None:
        return image
    rows, maxima = stains
    # density -> concentrations -> scaled concentrations -> density: three linear maps, combined into a 3x3 matrix
    scale = np.diag(np.asarray(reference.max_concentrations) / maxima)
    repaint = np.linalg.pinv(rows) @ scale @ np.asarray(reference.stain_matrix)
    painted = np.exp(density @ -repaint.astype(np.float32)).reshape(image.shape)
    return _scaled_to_uint8(painted * np.float32(TRANSMITTED_LIGHT / 255.0))


def _optical_density(image: Rgb) -> NDArray[np.float32]:
    """Return the natural optical density, shape (H*W, 3); slightly negative for pixels brighter than Io."""
    table = -np.log((np.arange(256) + 1.0) / TRANSMITTED_LIGHT)
    return np.asarray(table.astype(np.float32)[image.reshape(-1, 3)], dtype=np.float32)


def _stains(density: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return unit stain vectors (2, 3), haematoxylin first, and maximum concentrations (2,), or None."""
    stained = density[(density >= OD_THRESHOLD).all(axis=1)]
    if len(stained) < max(MIN_STAINED_PIXELS, MIN_STAINED_FRACTION * len(density)):
        return None
    variances, vectors = np.linalg.eigh(np.cov(stained, rowvar=False))  # ascending
    if variances[1] < MIN_PLANE_VARIANCE:
        return None
    plane = vectors[:, :0:-1]  # the two directions of largest variance
    plane = plane * np.where(plane.sum(axis=0) < 0.0, -1.0, 1.0)  # the sign of an eigenvector is arbitrary
    projected = stained @ plane
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    extremes = np.percentile(angles, (ANGLE_PERCENTILE, 100.0 - ANGLE_PERCENTILE))
    rows = np.stack([np.cos(extremes), np.sin(extremes)], axis=1) @ plane.T
    rows = rows[np.argsort(-rows[:, 0], kind="stable")]  # haematoxylin absorbs more red than eosin
    if np.linalg.norm(np.cross(rows[0], rows[1])) < MIN_STAIN_ANGLE_SIN:
        return None
    maxima = np.percentile(density @ np.linalg.pinv(rows), 99.0, axis=0).astype(np.float64)
    return (rows, maxima) if maxima.min() > 0.0 else None


def _to_lab(image: Rgb) -> NDArray[np.float32]:
    unit = image.astype(np.float32) / np.float32(255.0)
    return np.asarray(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB), dtype=np.float32)


def _moments(lab: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean, std = cv2.meanStdDev(lab)
    return np.asarray(mean, dtype=np.float64).ravel(), np.asarray(std, dtype=np.float64).ravel()


def _scaled_to_uint8(unit: Any) -> Rgb:
    return np.asarray(np.rint(np.clip(unit, 0.0, 1.0) * np.float32(255.0)), dtype=np.uint8)


def _triple(values: NDArray[np.float64]) -> Triple:
    first, second, third = values.tolist()
    return first, second, third
