"""Background swaps: cells pasted on the backgrounds of other images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation import intervals
from evaluation.saliency.sample import Sample
from wbc.preprocessing.foreground import Foreground

MARGIN = 5
"""Pixels around a mask that belong to the cell; masks are tight, and a remaining rim would reveal it."""

FEATHER = 1.5
"""Standard deviation of the blur of the seam, in pixels; a hard edge is a feature of its own."""

Classify = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Framed pictures, uint8 (N, S, S, 3), before colour normalisation, to probabilities (N, 5)."""


def swap_backgrounds(
    sample: Sample, cells: list[Foreground], classify: Classify, *, seed: int, donors: int = 2
) -> dict[str, Any]:
    """Paste each cell on the backgrounds of other images and count how often the class changes.

    The donor's own cell is painted over first. As this editing may change the class by itself, each cell is also pasted
    back on its own background treated in the same way: the control.

    Args:
        sample: the images.
        cells: cell of each in the frame; images without a valid one are left out.
        classify: the classifier.
        seed: seed of the draws.
        donors: backgrounds per cell, of images of other classes if there are any.
    """
    usable = [i for i, cell in enumerate(cells) if cell.valid and 0.0 < cell.coverage < 1.0]
    rng = np.random.default_rng(seed)
    shown = {i: sample.prepared[i].display for i in usable}
    empty = {i: paint_over(shown[i], cells[i].cell) for i in usable}
    controls: list[bool] = []
    rows: list[tuple[float, float, float]] = []
    for i in usable:
        others = [j for j in usable if sample.labels[j] != sample.labels[i]] or [j for j in usable if j != i]
        chosen = rng.choice(others, min(donors, len(others)), replace=False) if others else np.empty(0, np.int64)
        pasted = [paste(shown[i], cells[i].cell, empty[int(j)]) for j in (i, *chosen)]
        probabilities = classify(np.stack([shown[i], *pasted]))
        label, control, *predicted = probabilities.argmax(axis=1)
        controls.append(bool(control != label))
        if predicted:
            flips = np.array(predicted) != label
            to_donor = flips & (np.array(predicted) == sample.labels[chosen])
            fall = probabilities[0, label] - probabilities[2:, label].mean()
            rows.append((flips.mean(), to_donor.mean(), fall))
    flipped, to_donor, fall = np.array(rows, np.float64).reshape(-1, 3).T
    return {
        "split": sample.split,
        "cells": len(usable),
        "without_valid_mask": len(cells) - len(usable),
        "backgrounds_a_cell": donors,
        "control_flipped": intervals.share(controls),
        "cells_flipped": intervals.share(flipped > 0),
        "flips": intervals.mean(flipped, seed),
        "flips_to_the_donors_class": intervals.mean(to_donor, seed),
        "fall_of_probability": intervals.mean(fall, seed),
    }


def paint_over(rgb: NDArray[np.uint8], cell: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Inpaint the cell from its surroundings (Telea 2004) at half size; pictures (S, S, 3), masks (S, S)."""
    height, width = rgb.shape[:2]
    half = (width // 2, height // 2)
    mask = _dilate(cell, 2 * MARGIN)
    hole = cv2.resize(mask, half, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(cv2.resize(rgb, half, interpolation=cv2.INTER_AREA), hole, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return _blend(np.asarray(filled, np.uint8), rgb, mask)


def paste(rgb: NDArray[np.uint8], cell: NDArray[np.bool_], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paste the cell of one picture, with a margin, on another picture of the same size."""
    return _blend(rgb, background, _dilate(cell, MARGIN))


def _dilate(mask: NDArray[np.bool_], margin: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.uint8)


def _blend(inside: NDArray[np.uint8], outside: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), FEATHER)[..., None]
    return np.asarray(np.rint(inside * weight + outside * (1.0 - weight)), np.uint8)
