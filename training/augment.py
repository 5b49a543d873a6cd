"""Augmentation of a training image: recipe, order of the steps and their probabilities. Seeded, outside the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from training.transforms import (
    Geometry,
    Rgb,
    blur,
    compress,
    crop_to_cell,
    lab_jitter,
    lower_resolution,
    quantise,
    randomise_background,
    sensor_noise,
    stain_jitter,
    tone,
    warp,
    white_balance,
)
from training.window_augment import MARGIN, augment_window
from wbc.data.cache import ImageCache, resized
from wbc.labels import CLASSES
from wbc.preprocessing.foreground import find_foreground
from wbc.preprocessing.pipeline import Preprocessor

Policy = Literal["none", "published", "robust"]

# published: flips, rotation and the zoom of the published training. robust: up to twice as large a cell in the frame.
GEOMETRY: dict[str, Geometry] = {
    "published": Geometry(zoom=(0.85, 1.15), shift=0.05),
    "robust": Geometry(zoom=(0.75, 2.0), shift=0.08),
}

PUBLISHED_STEPS: dict[str, dict[str, float]] = {
    "published": {"crop_prob": 0.2, "bg_randomization_prob": 0.15, "stain_jitter_prob": 0.3},
}
"""Default probabilities per policy. `robust` has its own stain jitter and frames the cell, so its defaults are 0."""

DEGRADATIONS: tuple[tuple[float, Callable[[Rgb, np.random.Generator], Rgb]], ...] = (
    (0.4, blur),
    (0.3, lower_resolution),
    (0.2, sensor_noise),
    (0.1, quantise),
    (0.3, compress),
)
"""Probability and function of each camera fault, in order."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Augmentation policy and probabilities.

    Attributes:
        policy: `published` varies an image within one device; `robust` imitates other devices: stain, white balance,
            focus, resolution, sensor noise and compression (ranges: docs/training.md); `none` does not augment.
        crop_prob: probability of a crop to the cell.
        bg_prob: probability of a random background around the cell.
        bg_strength: share of the new background in the blend.
        stain_prob: probability of a stain shift in LAB.
        class_scales: factors on `crop_prob` and `bg_prob`, one per class in the order of the labels.
        density_prob: `robust`: probability of the stain jitter in optical density.
        stain_strength: `robust` with framing `window`: factor on the spread of that jitter.
        degradations: `robust`: factor on the probabilities of the camera faults.
    """

    policy: Policy
    crop_prob: float = 0.0
    bg_prob: float = 0.0
    bg_strength: float = 0.35
    stain_prob: float = 0.0
    class_scales: tuple[float, ...] = (1.0,) * len(CLASSES)
    density_prob: float = 0.8
    stain_strength: float = 1.0
    degradations: float = 1.0


def augment(rgb: Rgb, rng: np.random.Generator, recipe: Recipe, label: int, ramp: float = 1.0) -> Rgb:
    """Return one random version of an image.

    Args:
        rgb: uint8 (H, W, 3).
        rng: source of randomness; the same state gives the same image.
        recipe: augmentation.
        label: class index, for the class scales.
        ramp: 0 to 1, factor on the probabilities of the camera faults; training raises it over the first epochs.

    Returns:
        uint8, the same shape.
    """
    if recipe.policy == "none":
        return rgb
    out = warp(_published_steps(rgb, rng, recipe, label), rng, GEOMETRY[recipe.policy])
    if recipe.policy == "published":
        return tone(out, rng, spread=0.1)
    if rng.random() < recipe.density_prob:
        out = stain_jitter(out, rng)
    if rng.random() < 0.3:
        out = white_balance(out, rng)
    out = tone(out, rng, spread=0.25)
    for probability, step in DEGRADATIONS:
        if rng.random() < probability * recipe.degradations * ramp:
            out = step(out, rng)
    return out


def draw_version(
    path: Path,
    label: int,
    rng: np.random.Generator,
    *,
    recipe: Recipe,
    preprocessor: Preprocessor,
    cache: ImageCache,
    size: int,
    ramp: float = 1.0,
) -> tuple[Rgb, Rgb]:
    """Draw one random version of an image file, as training uses it.

    With `robust` and framing `window` the version is cut from cached surroundings of the cell. Otherwise the whole
    image is augmented and then framed as in serving.

    Args:
        path: image file.
        label: class index.
        rng: source of randomness.
        recipe: augmentation; its policy is not `none`.
        preprocessor: preprocessing after the augmentation.
        cache: cache of decoded images and surroundings.
        size: side of the network's input in pixels.
        ramp: factor on the probabilities of the camera faults.

    Returns:
        The framed image, and the network's input, uint8 (size, size, 3).
    """
    if recipe.policy == "robust" and preprocessor.spec.framing.mode == "window":
        side = round(MARGIN * size)
        if recipe.crop_prob or recipe.bg_prob or recipe.stain_prob:  # applied before the window, so not cached
            varied = _published_steps(cache.decoded(path), rng, recipe, label)
            wide = preprocessor.surroundings(varied, MARGIN, side)
        else:
            wide = cache.surroundings(path, preprocessor, MARGIN, side)
        framed = augment_window(
            wide,
            rng,
            size,
            stain_prob=recipe.density_prob,
            stain_strength=recipe.stain_strength,
            camera_factor=recipe.degradations * ramp,
        )
        return framed, preprocessor.normalise(framed)
    prepared = preprocessor(augment(cache.decoded(path), rng, recipe, label, ramp))
    return prepared.display, resized(prepared.model_input, size)


def _published_steps(rgb: Rgb, rng: np.random.Generator, recipe: Recipe, label: int) -> Rgb:
    """Apply the steps of the published training: crop to the cell, stain shift, random background."""
    scale = recipe.class_scales[label]
    crops, shifts, swaps = rng.random(3) < (recipe.crop_prob * scale, recipe.stain_prob, recipe.bg_prob * scale)
    out = rgb
    if crops:
        out = crop_to_cell(out, rng, find_foreground(out))
    if shifts:
        out = lab_jitter(out, rng)
    if swaps:
        out = randomise_background(out, rng, find_foreground(out), recipe.bg_strength)
    return out
