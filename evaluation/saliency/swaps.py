"""Does the class follow the cell? Cells pasted on other images' backgrounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.saliency import estimates
from evaluation.saliency.sample import Sample
from wbc.preprocessing.foreground import Foreground

MARGIN = 5
"""Pixels around a mask that go with the cell; masks are cut close and a rim left behind would be a trace of it."""

FEATHER = 1.5
"""Standard deviation, in pixels, of the seam's blur: a hard edge is a feature of its own."""


Classify = Callable[[NDArray[np.uint8]], NDArray[np.float64]]
"""Framed pictures, uint8 (N, S, S, 3), before colour is touched, to probabilities (N, 5)."""


def background_swaps(
    sample: Sample, cells: list[Foreground], classify: Classify, *, seed: int, donors: int = 2
) -> dict[str, Any]:
    """Paste each cell on backgrounds of other images and count how often the class changes.

    A donor's own cell is painted over from its surroundings first, or the picture would show two cells. As that editing
    may change the class by itself, each cell is also pasted back on its own background treated so: the control.

    Args:
        sample: the images.
        cells: where the cell of each is, in the frame; images without a valid one are left out.
        classify: what classifies.
        seed: of the choice of donors and of the intervals.
        donors: backgrounds a cell, of images of other classes where there are any.
    """
    usable = [i for i, cell in enumerate(cells) if cell.valid and 0.0 < cell.coverage < 1.0]
    rng = np.random.default_rng(seed)
    shown = {i: sample.prepared[i].display for i in usable}
    empty = {i: painted_over(shown[i], cells[i].cell) for i in usable}
    controls: list[bool] = []
    rows: list[tuple[float, float, float]] = []
    for i in usable:
        others = [j for j in usable if sample.labels[j] != sample.labels[i]] or [j for j in usable if j != i]
        chosen = rng.choice(others, min(donors, len(others)), replace=False) if others else np.empty(0, np.int64)
        pasted = [paste(shown[i], cells[i].cell, empty[int(j)]) for j in (i, *chosen)]
        seen = classify(np.stack([shown[i], *pasted]))
        label, control, *answers = seen.argmax(axis=1)
        controls.append(bool(control != label))
        if answers:
            flips = np.array(answers) != label
            to_donor = flips & (np.array(answers) == sample.labels[chosen])
            rows.append((flips.mean(), to_donor.mean(), seen[0, label] - seen[2:, label].mean()))
    flipped, to_donor, fall = np.array(rows, np.float64).reshape(-1, 3).T
    return {
        "split": sample.split,
        "cells": len(usable),
        "without_valid_mask": len(cells) - len(usable),
        "backgrounds_a_cell": donors,
        "control_flipped": estimates.share(controls),
        "cells_flipped": estimates.share(flipped > 0),
        "flips": estimates.mean(flipped, seed),
        "flips_to_the_donors_class": estimates.mean(to_donor, seed),
        "fall_of_probability": estimates.mean(fall, seed),
    }


def painted_over(rgb: NDArray[np.uint8], cell: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture without its cell, filled from the surroundings (Telea 2004), at half size: it is a background."""
    height, width = rgb.shape[:2]
    half = (width // 2, height // 2)
    hole = cv2.resize(_grown(cell, 2 * MARGIN), half, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(cv2.resize(rgb, half, interpolation=cv2.INTER_AREA), hole, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return _blended(np.asarray(filled, np.uint8), rgb, _grown(cell, 2 * MARGIN))


def paste(rgb: NDArray[np.uint8], cell: NDArray[np.bool_], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The cell of one picture, with a margin, on another picture; same size."""
    return _blended(rgb, background, _grown(cell, MARGIN))


def _grown(mask: NDArray[np.bool_], margin: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.uint8)


def _blended(inside: NDArray[np.uint8], outside: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), FEATHER)[..., None]
    return np.asarray(np.rint(inside * weight + outside * (1.0 - weight)), np.uint8)
