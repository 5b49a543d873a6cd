"""Random versions of a cell's window: orientation, stain, light and camera. Seeded, outside the graph."""

from __future__ import annotations

import cv2
import numpy as np

from training.transforms import DENSITY, Rgb, apply_curves, compress, from_density
from wbc.preprocessing.background import WHITE

MARGIN = 1.5
"""Width, in windows, of the cached surroundings from which a window is cut; zooming out shows real pixels."""

ZOOM = (0.72, 1.3)
SHIFT = 0.04
"""Range of the magnification, and largest shift in windows."""


def augment_window(
    wide: Rgb,
    rng: np.random.Generator,
    size: int,
    *,
    stain_prob: float = 0.8,
    stain_strength: float = 1.0,
    camera_factor: float = 1.0,
) -> Rgb:
    """Cut one random window.

    Args:
        wide: uint8 (W, W, 3), `MARGIN` windows wide, white-balanced.
        rng: source of randomness; the same state gives the same window.
        size: side of the result in pixels.
        stain_prob: probability of a stain change.
        stain_strength: factor on the spread of the stains.
        camera_factor: factor on the probabilities of low resolution, blur, sharpening, noise and compression.

    Returns:
        uint8 (size, size, 3).
    """
    out = turn(wide, rng, size)
    if rng.random() < stain_prob:
        out = stain(out, rng, stain_strength)
    out = light(out, rng)
    if rng.random() < 0.3:
        out = saturate(out, rng.uniform(0.5, 1.6))
    return camera(out, rng, camera_factor)


def turn(wide: Rgb, rng: np.random.Generator, size: int) -> Rgb:
    """Rotate by any angle, flip, zoom and shift slightly; the outside is white."""
    scale = size * MARGIN / len(wide) * np.exp(rng.uniform(*np.log(ZOOM)))
    angle, flip = rng.uniform(0, 2 * np.pi), 1 if rng.random() < 0.5 else -1
    linear = scale * np.array([[flip * np.cos(angle), -np.sin(angle)], [flip * np.sin(angle), np.cos(angle)]])
    middle = (len(wide) - 1) / 2
    offset = (size - 1) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * size - linear @ (middle, middle)
    matrix = np.concatenate([linear, offset[:, None]], axis=1)
    turned = cv2.warpAffine(
        wide, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(WHITE,) * 3
    )
    return np.asarray(turned, np.uint8)


def stain(rgb: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """Mix and scale the optical densities of the channels, like another dye, batch or staining time."""
    mix = np.eye(3) + strength * rng.normal(0, 0.08, (3, 3))
    mix = mix * np.exp(strength * rng.normal(0, 0.18, 3))[:, None] * np.exp(strength * rng.normal(0, 0.25))
    return from_density(cv2.transform(cv2.LUT(rgb, DENSITY), mix.astype(np.float32)))


def light(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Apply a random gamma and random channel gains."""
    curves = np.repeat(np.arange(256, dtype=np.float64)[:, None] / 255.0, 3, axis=1)
    if rng.random() < 0.5:
        curves = curves ** np.exp(rng.normal(0, 0.25))
    if rng.random() < 0.6:
        curves = curves * np.exp(rng.normal(0, 0.06, 3))
    return apply_curves(rgb, 255.0 * curves)


def saturate(rgb: Rgb, amount: float) -> Rgb:
    """Scale the saturation by `amount`; hue stays, because it identifies eosinophils."""
    matrix = amount * np.eye(3) + (1 - amount) / 3
    return np.asarray(cv2.transform(rgb, matrix.astype(np.float32)), np.uint8)


def camera(rgb: Rgb, rng: np.random.Generator, factor: float) -> Rgb:
    """Lower the resolution, blur, sharpen, add sensor noise and compress, each with its probability times `factor`."""
    size, out = len(rgb), rgb
    chance = rng.random(5) < np.array([0.35, 0.35, 0.25, 0.25, 0.15]) * factor
    if chance[0]:
        small = max(8, round(size * rng.uniform(0.3, 0.8)))
        down = cv2.resize(out, (small, small), interpolation=cv2.INTER_AREA)
        out = np.asarray(cv2.resize(down, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    if chance[1]:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 1.6) * size / 128), np.uint8)
    if chance[2]:
        gain = rng.uniform(0.3, 1.5)
        out = np.asarray(cv2.addWeighted(out, 1 + gain, cv2.GaussianBlur(out, (0, 0), 1.5), -gain, 0), np.uint8)
    if chance[3]:
        noise = rng.standard_normal(out.shape, np.float32) * np.float32(rng.uniform(1, 9))
        out = np.clip(out + noise, 0, 255).astype(np.uint8)
    return compress(out, rng) if chance[4] else out
