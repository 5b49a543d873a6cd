"""Single random changes of a picture: geometry, stain, tone and what a worse camera does. NumPy and OpenCV.

Each takes RGB uint8 (H, W, 3) and a generator, and gives the same shape and type; the same generator state gives the
same picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.images import decode, encode_jpeg

Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Geometry:
    """Ranges of the one affine warp that every augmented picture goes through; borders are reflected."""

    zoom: tuple[float, float]
    shift: float
    any_rotation: bool = True


def warp(rgb: Rgb, rng: np.random.Generator, geometry: Geometry) -> Rgb:
    """Rotation, flip, zoom and shift in one resampling."""
    height, width = rgb.shape[:2]
    angle = rng.uniform(0, 360) if geometry.any_rotation else 0.0
    zoom = float(np.exp(rng.uniform(*np.log(geometry.zoom))))
    matrix = np.asarray(cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, zoom), np.float64)
    matrix[:, 2] += rng.uniform(-geometry.shift, geometry.shift, 2) * (width, height)
    if rng.random() < 0.5:  # mirrored: x becomes width - 1 - x
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    return np.asarray(
        cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


def stain_jitter(rgb: Rgb, rng: np.random.Generator, sigma: float = 0.15) -> Rgb:
    """Random gains along the picture's own optical-density axes: another batch of dye, the same chromatin.

    The axes are the principal components of the density over the background, which needs no
    haematoxylin-eosin matrix: blood films are Romanowsky-stained.
    """
    levels = np.arange(1, 257, dtype=np.float32)
    density = cv2.LUT(rgb, -np.log(levels / 256.0).reshape(1, 256))
    flat = density[::4, ::4].reshape(-1, 3)
    base = np.percentile(flat, 15, axis=0).astype(np.float32)
    _, axes = np.linalg.eigh(np.cov((flat - base).T) + 1e-6 * np.eye(3))
    gains = np.exp(rng.normal(0.0, sigma, 3))
    mix = (axes * gains) @ axes.T
    moved = cv2.transform(density - base, mix.astype(np.float32)) + base * np.float32(np.exp(rng.normal(0, sigma)))
    return np.asarray(np.clip(256.0 * cv2.exp(-moved) - 1.0, 0, 255), np.uint8)


def white_balance(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Make the background neutral at a random level, as most cameras are set up to do."""
    background = np.percentile(rgb[::4, ::4].reshape(-1, 3), 85, axis=0)
    gain = rng.uniform(195, 255) / np.maximum(background, 60)
    return _through(rgb, np.arange(256)[:, None] * gain)


def tone(rgb: Rgb, rng: np.random.Generator, spread: float) -> Rgb:
    """Brightness, contrast, saturation, channel gain and gamma; hue is left alone, it tells an eosinophil."""
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
    return _through(np.asarray(out, np.uint8), curve[:, None] * brightness * gain)


def blur(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Out of focus, sigma up to 1.5 pixels at 224."""
    sigma = rng.uniform(0.1, 1.5) * max(rgb.shape[:2]) / 224.0
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)


def lower_resolution(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Down to 64 to 200 pixels and up again."""
    height, width = rgb.shape[:2]
    scale = min(1.0, rng.uniform(64, 200) / max(height, width))
    small = cv2.resize(rgb, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def sensor_noise(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Gaussian noise of up to 5% of the range."""
    noise = rng.standard_normal(rgb.shape, np.float32) * np.float32(255.0 * rng.uniform(0, 0.05))
    return np.asarray(np.clip(rgb + noise, 0, 255), np.uint8)


def quantise(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """16 to 64 levels a channel."""
    step = 255.0 / (int(rng.integers(16, 65)) - 1)
    return _through(rgb, np.repeat(np.rint(np.arange(256) / step)[:, None] * step, 3, axis=1))


def compress(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """JPEG at quality 50 to 95."""
    return decode(encode_jpeg(rgb, quality=int(rng.integers(50, 96))))


def _through(rgb: Rgb, curves: NDArray[np.floating]) -> Rgb:
    """Each channel through its own curve, (256, 3) levels."""
    table = np.clip(np.rint(curves), 0, 255).astype(np.uint8).reshape(1, 256, 3)
    return np.asarray(cv2.LUT(rgb, table), np.uint8)
