"""Does the class follow the cell? Cells pasted on other images' backgrounds."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training.saliency import estimates
from training.saliency.sample import Model, Sample
from wbc.adaptation.calibration import probabilities
from wbc.preprocessing.foreground import Foreground

MARGIN = 5
"""Pixels around a mask that go with the cell; masks are cut close and a rim left behind would be a trace of it."""

FEATHER = 1.5
"""Standard deviation, in pixels, of the seam's blur: a hard edge is a feature of its own."""


def background_swaps(
    model: Model, sample: Sample, cells: list[Foreground], *, seed: int, donors: int = 2
) -> dict[str, Any]:
    """Paste each cell on backgrounds of other images and count how often the class changes.

    A donor's own cell is painted over from its surroundings first, or the picture would show two cells. As that editing
    may change the class by itself, each cell is also pasted back on its own background treated so: the control.

    Args:
        model: what classifies.
        sample: the images.
        cells: where the cell of each is, in the frame; images without a valid one are left out.
        seed: of the choice of donors and of the intervals.
        donors: backgrounds a cell, of images of other classes where there are any.
    """
    usable = [i for i, cell in enumerate(cells) if cell.valid and 0.0 < cell.coverage < 1.0]
    rng = np.random.default_rng(seed)
    empty = {i: painted_over(sample.prepared[i].display, cells[i].cell) for i in usable}
    confidence = _probabilities(model, sample.outputs.logits)
    flips, controls, falls, to_donor = [], [], [], []
    for i in usable:
        others = [j for j in usable if sample.labels[j] != sample.labels[i]] or [j for j in usable if j != i]
        chosen = rng.choice(others, min(donors, len(others)), replace=False) if others else np.empty(0, np.int64)
        pictures = [paste(sample.prepared[i].display, cells[i].cell, empty[int(j)]) for j in (i, *chosen)]
        seen = _probabilities(model, model(np.stack([model.preprocessor.normalise(p) for p in pictures])).logits)
        label = int(sample.predicted[i])
        answers = seen.argmax(axis=1)
        controls.append(bool(answers[0] != label))
        if len(chosen):
            flips.append(float((answers[1:] != label).mean()))
            falls.append(float(confidence[i, label] - seen[1:, label].mean()))
            to_donor.append(float(((answers[1:] != label) & (answers[1:] == sample.labels[chosen])).mean()))
    return {
        "split": sample.split,
        "images": len(usable),
        "without_valid_mask": len(cells) - len(usable),
        "backgrounds_a_cell": donors,
        "flips": estimates.mean(flips, seed),
        "flips_to_the_donors_class": estimates.mean(to_donor, seed),
        "control_flips": estimates.share(controls),
        "fall_of_probability": estimates.mean(falls, seed),
    }


def painted_over(rgb: NDArray[np.uint8], cell: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The picture without its cell, filled from the surroundings (Telea 2004), at half size and back: it is a background."""
    height, width = rgb.shape[:2]
    half = (width // 2, height // 2)
    hole = cv2.resize(_grown(cell, 2 * MARGIN), half, interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(cv2.resize(rgb, half, interpolation=cv2.INTER_AREA), hole, 3, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return _blended(filled, rgb, _grown(cell, 2 * MARGIN))


def paste(rgb: NDArray[np.uint8], cell: NDArray[np.bool_], background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The cell of one picture, with a margin, on another picture; same size."""
    return _blended(rgb, background, _grown(cell, MARGIN))


def _grown(mask: NDArray[np.bool_], margin: int) -> NDArray[np.uint8]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel), np.uint8)


def _blended(inside: NDArray[np.uint8], outside: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    weight = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), FEATHER)[..., None]
    return np.asarray(np.rint(inside * weight + outside * (1.0 - weight)), np.uint8)


def _probabilities(model: Model, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return probabilities(logits, model.bundle.manifest.temperature)
