"""Single random changes of an image: geometry, stain, background, tone and camera faults.

Each function takes RGB uint8 (H, W, 3) and a random generator and returns an image of the same shape and type. The same
generator state gives the same image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.images import decode, encode_jpeg
from wbc.preprocessing.foreground import Foreground

Rgb = NDArray[np.uint8]

CROP_MARGIN = (0.10, 0.50)
"""Range of the free space around the cell's box after a crop, as a share of the box's longer side."""

LAB_OFFSET = (4.0, 6.0, 6.0)
"""Largest shift of L (of 100), a and b: about a third of the spread between stain batches of one laboratory."""

LAB_GAIN = 0.1
"""Largest relative change of the contrast of L, a and b about their means."""

DENSITY = -np.log(np.arange(1, 257, dtype=np.float32) / 256.0).reshape(1, 256)
"""Optical density of each of the 256 levels."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """Ranges of a random affine warp: magnification, and shift as a share of the image's side."""

    zoom: tuple[float, float]
    shift: float
    any_rotation: bool = True


def warp(rgb: Rgb, rng: np.random.Generator, geometry: Geometry) -> Rgb:
    """Rotate, flip, zoom and shift in one resampling; borders are reflected."""
    height, width = rgb.shape[:2]
    angle = rng.uniform(0, 360) if geometry.any_rotation else 0.0
    zoom = float(np.exp(rng.uniform(*np.log(geometry.zoom))))
    matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom), np.float64)
    matrix[:, 2] += rng.uniform(-geometry.shift, geometry.shift, 2) * (width, height)
    if rng.random() < 0.5:  # flip: x becomes width - 1 - x
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    warped = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(warped, np.uint8)


def crop_to_cell(rgb: Rgb, rng: np.random.Generator, found: Foreground) -> Rgb:
    """Crop a square around the cell, with a random margin, and resize it to the image's size.

    An image in which no cell was found is returned unchanged.
    """
    if not found.valid:
        return rgb
    height, width = rgb.shape[:2]
    rows, columns = np.flatnonzero(found.cell.any(axis=1)), np.flatnonzero(found.cell.any(axis=0))
    box = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    margin = rng.uniform(*CROP_MARGIN)
    off_centre = rng.uniform(-0.5, 0.5, 2) * margin * box
    side = min(round(box * (1 + 2 * margin)), height, width)
    left = _first_pixel((columns[0] + columns[-1]) / 2 + off_centre[0], side, width)
    top = _first_pixel((rows[0] + rows[-1]) / 2 + off_centre[1], side, height)
    crop = rgb[top : top + side, left : left + side]
    return np.asarray(cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def randomise_background(rgb: Rgb, rng: np.random.Generator, found: Foreground, strength: float) -> Rgb:
    """Blend everything outside the cell with a smooth random colour field, with a soft edge.

    An image in which no cell was found is returned unchanged.

    Args:
        rgb: image.
        rng: source of randomness.
        found: the cell in the image.
        strength: share of the field in the blend, 0 to 1; 1 replaces the background.
    """
    if not found.valid or strength == 0:
        return rgb
    height, width = rgb.shape[:2]
    colour = rng.uniform(150, 255, 3)  # bright, like light that passed little stain
    blobs = colour + rng.normal(0, 18, (4, 4, 3))  # the size of the erythrocytes that they replace
    field = cv2.resize(blobs.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    field += rng.normal(0, 3, rgb.shape).astype(np.float32)
    outside = cv2.GaussianBlur((~found.cell).astype(np.float32), (0, 0), 0.01 * max(height, width))
    share = np.float32(strength) * outside * ~found.cell  # the cell itself does not change
    return _rounded(rgb + share[..., None] * (field - rgb))


def lab_jitter(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Shift and scale L, a and b about their means, like another stain batch on the same device."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
    offset = rng.uniform(-1, 1, 3) * LAB_OFFSET
    gain = 1 + rng.uniform(-LAB_GAIN, LAB_GAIN, 3)
    mean = lab.mean(axis=(0, 1))
    moved = ((lab - mean) * gain + mean + offset).astype(np.float32)
    return _rounded(cv2.cvtColor(moved, cv2.COLOR_LAB2RGB) * 255.0)


def stain_jitter(rgb: Rgb, rng: np.random.Generator, sigma: float = 0.15) -> Rgb:
    """Scale the image's own optical-density axes by random gains, like another dye batch; the texture stays.

    The axes are the principal components of the density over the background. A haematoxylin-eosin matrix would not fit:
    blood films are Romanowsky-stained.
    """
    density = cv2.LUT(rgb, DENSITY)
    flat = density[::4, ::4].reshape(-1, 3)
    base = np.percentile(flat, 15, axis=0).astype(np.float32)
    _, axes = np.linalg.eigh(np.cov((flat - base).T) + 1e-6 * np.eye(3))
    gains = np.exp(rng.normal(0.0, sigma, 3))
    mix = (axes * gains) @ axes.T
    moved = cv2.transform(density - base, mix.astype(np.float32))
    return from_density(moved + base * np.float32(np.exp(rng.normal(0, sigma))))


def from_density(density: NDArray[Any]) -> Rgb:
    """Invert the lookup table `DENSITY`."""
    return np.asarray(np.clip(256.0 * cv2.exp(-density) - 1.0, 0, 255), np.uint8)


def white_balance(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Make the background neutral at a random level, as most cameras do."""
    background = np.percentile(rgb[::4, ::4].reshape(-1, 3), 85, axis=0)
    gain = rng.uniform(195, 255) / np.maximum(background, 60)
    return apply_curves(rgb, np.arange(256)[:, None] * gain)


def tone(rgb: Rgb, rng: np.random.Generator, spread: float) -> Rgb:
    """Vary brightness, contrast, saturation, channel gains and gamma; hue stays, because it identifies eosinophils."""
    out: NDArray[Any] = rgb
    if rng.random() < 0.8:
        saturation = 1.0 + rng.uniform(-spread, spread)
        grey = np.full((3, 3), 1 / 3.0)
        out = cv2.transform(out, (saturation * np.eye(3) + (1 - saturation) * grey).astype(np.float32))
    brightness = 1.0 + rng.uniform(-spread, spread) * 0.8
    contrast = 1.0 + rng.uniform(-spread, spread)
    gain = np.exp(rng.normal(0.0, 0.6 * spread, 3)) if rng.random() < 0.5 else np.ones(3)
    gamma = float(np.exp(rng.uniform(-1.4 * spread, 1.4 * spread))) if rng.random() < 0.3 else 1.0
    curve = 255.0 * (np.arange(256) / 255.0) ** gamma
    curve = (curve - 128.0) * contrast + 128.0
    return apply_curves(np.asarray(out, np.uint8), curve[:, None] * brightness * gain)


def blur(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Blur by a Gaussian of up to 1.5 pixels at a side of 224."""
    sigma = rng.uniform(0.1, 1.5) * max(rgb.shape[:2]) / 224.0
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def lower_resolution(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Resize to 64-200 pixels and back."""
    height, width = rgb.shape[:2]
    scale = min(1.0, rng.uniform(64, 200) / max(height, width))
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def sensor_noise(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Add Gaussian noise with a standard deviation of up to 5% of the range."""
    noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(255.0 * rng.uniform(0, 0.05))
    return np.asarray(np.clip(rgb + noise, 0, 255), np.uint8)


def quantise(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Reduce each channel to 16-64 levels."""
    step = 255.0 / (int(rng.integers(16, 65)) - 1)
    return apply_curves(rgb, np.repeat(np.rint(np.arange(256) / step)[:, None] * step, 3, axis=1))


def compress(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Encode as JPEG at quality 50-95 and decode."""
    return decode(encode_jpeg(rgb, quality=int(rng.integers(50, 96))))


def apply_curves(rgb: Rgb, curves: NDArray[np.floating]) -> Rgb:
    """Map each channel through its own tone curve; `curves` is (256, 3)."""
    return np.asarray(cv2.LUT(rgb, _rounded(curves).reshape(1, 256, 3)), np.uint8)


def _rounded(values: NDArray[Any]) -> Rgb:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _first_pixel(centre: float, side: int, length: int) -> int:
    """Return the first pixel of an interval of `side` pixels about `centre`, moved to lie inside the image."""
    return int(np.clip(round(centre - side / 2), 0, length - side))
