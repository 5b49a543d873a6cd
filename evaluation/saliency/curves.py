"""Does the class hang on what the map marks? Insertion and deletion curves against maps that know nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.saliency import estimates
from wbc.saliency.overlay import heatmap

FRACTIONS = (0.0, 0.04, 0.08, 0.15, 0.25, 0.4, 0.65, 1.0)
"""Shares of the pixels inserted or deleted; closer where a cell, a fifth of the frame, is decided on."""

MAPS = ("gradcam", "random", "gaussian")
"""What ranks the pixels: the model's map, a random one of the same coarseness, and nearness to the middle."""

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Prepared images, uint8 (N, S, S, 3), to calibrated probabilities (N, 5)."""


def curves(
    images: NDArray[np.uint8],
    heats: NDArray[np.float32],
    classes: NDArray[np.int64],
    classify: Classify,
    *,
    grid: tuple[int, int],
    seed: int,
) -> dict[str, Any]:
    """Insertion and deletion (Petsiuk et al. 2018, arXiv 1806.07421) of the class that the model gave.

    Deletion paints the pixels over, the highest first, in the colour of the film's background; insertion lets them
    appear in a blurred copy. What is followed is the calibrated probability, and the measure is the area under it:
    small is good for deletion, large for insertion. Cells are framed in the middle, so the centred Gaussian is the
    baseline to beat; its width does not matter, for only the order of the pixels counts.

    Args:
        images: uint8 (N, S, S, 3), prepared.
        heats: float32 (N, S, S), the maps to judge.
        classes: int64 (N,), whose probability is followed.
        classify: the classifier.
        grid: (h, w) of the feature map: the coarseness of the random maps.
        seed: of the random maps and of the intervals.
    """
    rng = np.random.default_rng(seed)
    found = {
        kind: {name: np.empty((len(images), len(FRACTIONS))) for name in MAPS} for kind in ("insertion", "deletion")
    }
    for row, (image, heat, label) in enumerate(zip(images, heats, classes, strict=True)):
        maps = (heat, _random(rng, grid, len(image)), centred_gaussian(len(image)))
        views, places = _views(image, maps, rng)
        scores = classify(views)[:, label]
        for (kind, name, step), index in places.items():
            found[kind][name][row, step] = scores[index]
    return {
        "images": len(images),
        "fractions": list(FRACTIONS),
        "insertion": _summary(found["insertion"], seed, better=1),
        "deletion": _summary(found["deletion"], seed, better=-1),
    }


def centred_gaussian(size: int) -> NDArray[np.float32]:
    """A Gaussian in the middle of the frame, float32 (size, size) in [0, 1], a fifth of the side in sd."""
    across = (np.arange(size) - (size - 1) / 2.0) / (0.2 * size)
    line = np.exp(-0.5 * across**2)
    return np.asarray(line[:, None] * line[None, :], np.float32)


def _random(rng: np.random.Generator, grid: tuple[int, int], size: int) -> NDArray[np.float32]:
    """A random map of the feature grid's coarseness: single random pixels would be an easier opponent."""
    return heatmap(rng.random(grid), size)


def _views(
    image: NDArray[np.uint8], maps: tuple[NDArray[np.float32], ...], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], dict[tuple[str, str, int], int]]:
    """The altered images of all curves, and which of them each point of a curve takes; shared ends stand once."""
    size = len(image)
    painted = np.broadcast_to(np.percentile(image.reshape(-1, 3), 85, axis=0).astype(np.uint8), image.shape)
    blurred = cv2.GaussianBlur(image, (0, 0), size / 10.0)
    views = [image, painted, blurred]
    places: dict[tuple[str, str, int], int] = {}
    last = len(FRACTIONS) - 1
    for name, heat in zip(MAPS, maps, strict=True):
        places |= {("deletion", name, 0): 0, ("deletion", name, last): 1}
        places |= {("insertion", name, 0): 2, ("insertion", name, last): 0}
        rank = _ranking(heat, rng)
        for step in range(1, last):
            chosen = (rank < FRACTIONS[step] * size * size)[..., None]
            places[("deletion", name, step)] = len(views)
            views.append(np.where(chosen, painted, image))
            places[("insertion", name, step)] = len(views)
            views.append(np.where(chosen, image, blurred))
    return np.stack(views), places


def _ranking(heat: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.int64]:
    """Each pixel's place, the highest first; equal ones at random, lest a flat map sweeps from the top."""
    order = np.lexsort((rng.random(heat.size), -heat.ravel()))
    rank = np.empty(heat.size, np.int64)
    rank[order] = np.arange(heat.size)
    return rank.reshape(heat.shape)


def _summary(curve: dict[str, NDArray[np.float64]], seed: int, better: int) -> dict[str, Any]:
    """Mean curves, areas under them, and the areas' differences image by image."""
    areas = {name: np.asarray(np.trapezoid(values, FRACTIONS, axis=1)) for name, values in curve.items()}
    out: dict[str, Any] = {
        "mean_curve": {name: [round(float(v), 6) for v in values.mean(axis=0)] for name, values in curve.items()},
        "auc": {name: estimates.mean(values, seed) for name, values in areas.items()},
        "better": "larger" if better > 0 else "smaller",
        "difference": {},
    }
    for other in MAPS[1:]:
        apart = estimates.mean(areas[MAPS[0]] - areas[other], seed)
        won = apart is not None and (apart.low > 0 if better > 0 else apart.high < 0)
        out["difference"][other] = {"gradcam_minus_this": apart, "passed": won}
    out["passed"] = all(entry["passed"] for entry in out["difference"].values())
    return out
