"""Insertion and deletion curves of the maps, against maps that do not depend on the image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation import intervals
from evaluation.saliency.sample import Sample
from wbc.saliency.overlay import heatmap

FRACTIONS = (0.0, 0.04, 0.08, 0.15, 0.25, 0.4, 0.65, 1.0)
"""Shares of pixels inserted or deleted; denser around the size of a cell, a fifth of the frame."""

MAPS = ("gradcam", "random", "gaussian")
"""Rankings of the pixels: the model's map, a random map of the same coarseness, and a centred Gaussian."""

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Network inputs, uint8 (N, S, S, 3), to calibrated probabilities (N, 5)."""


def measure_curves(sample: Sample, classify: Classify, *, seed: int) -> dict[str, Any]:
    """Measure insertion and deletion (Petsiuk et al. 2018, arXiv 1806.07421) of the predicted class.

    Deletion paints pixels in the colour of the film's background, the highest first; insertion restores them in a
    blurred copy. The measure is the area under the calibrated probability: small is good for deletion, large for
    insertion. Cells are framed in the middle, so a centred Gaussian is the strong baseline.
    """
    rng = np.random.default_rng(seed)
    grid = sample.outputs.cam.shape[2:]
    found = {
        kind: {name: np.empty((len(sample), len(FRACTIONS))) for name in MAPS} for kind in ("insertion", "deletion")
    }
    for row, (image, heat, label) in enumerate(zip(sample.images, sample.heats, sample.predicted, strict=True)):
        # A random map of the coarseness of the feature grid is a stronger baseline than single random pixels.
        maps = (heat, heatmap(rng.random(grid), len(image)), centred_gaussian(len(image)))
        views, places = _alter(image, maps, rng)
        scores = classify(views)[:, label]
        for (kind, name, step), index in places.items():
            found[kind][name][row, step] = scores[index]
    return {
        "images": len(sample),
        "fractions": list(FRACTIONS),
        "insertion": _summarise(found["insertion"], seed, better=1),
        "deletion": _summarise(found["deletion"], seed, better=-1),
    }


def centred_gaussian(size: int) -> NDArray[np.float32]:
    """Return a centred Gaussian, float32 (size, size) in [0, 1]; its standard deviation is a fifth of the side."""
    across = (np.arange(size) - (size - 1) / 2.0) / (0.2 * size)
    line = np.exp(-0.5 * across**2)
    return np.asarray(line[:, None] * line[None, :], np.float32)


def _alter(
    image: NDArray[np.uint8], maps: tuple[NDArray[np.float32], ...], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], dict[tuple[str, str, int], int]]:
    """Return the altered images of all curves, and the index for each point; curves share their end points."""
    size = len(image)
    painted = np.broadcast_to(np.percentile(image.reshape(-1, 3), 85, axis=0).astype(np.uint8), image.shape)
    blurred = cv2.GaussianBlur(image, (0, 0), size / 10.0)
    views = [image, painted, blurred]
    places: dict[tuple[str, str, int], int] = {}
    last = len(FRACTIONS) - 1
    for name, heat in zip(MAPS, maps, strict=True):
        places |= {("deletion", name, 0): 0, ("deletion", name, last): 1}
        places |= {("insertion", name, 0): 2, ("insertion", name, last): 0}
        rank = _rank(heat, rng)
        for step in range(1, last):
            chosen = (rank < FRACTIONS[step] * size * size)[..., None]
            places[("deletion", name, step)] = len(views)
            views.append(np.where(chosen, painted, image))
            places[("insertion", name, step)] = len(views)
            views.append(np.where(chosen, image, blurred))
    return np.stack(views), places


def _rank(heat: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the rank of each pixel, the highest first and equal ones at random."""
    order = np.lexsort((rng.random(heat.size), -heat.ravel()))
    rank = np.empty(heat.size, np.int64)
    rank[order] = np.arange(heat.size)
    return rank.reshape(heat.shape)


def _summarise(curve: dict[str, NDArray[np.float64]], seed: int, better: int) -> dict[str, Any]:
    """Return mean curves, areas under them, and the paired differences of the areas."""
    areas = {name: np.asarray(np.trapezoid(values, FRACTIONS, axis=1)) for name, values in curve.items()}
    differences: dict[str, Any] = {}
    for other in MAPS[1:]:
        apart = intervals.mean(areas[MAPS[0]] - areas[other], seed)
        passed = apart is not None and (apart.low > 0 if better > 0 else apart.high < 0)
        differences[other] = {"gradcam_minus_this": apart, "passed": passed}
    return {
        "mean_curve": {name: [round(float(v), 6) for v in values.mean(axis=0)] for name, values in curve.items()},
        "auc": {name: intervals.mean(values, seed) for name, values in areas.items()},
        "better": "larger" if better > 0 else "smaller",
        "difference": differences,
        "passed": all(entry["passed"] for entry in differences.values()),
    }
