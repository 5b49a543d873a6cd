"""Energy of the maps on hand-drawn cells, and overlap of the detected cells with them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation import intervals
from evaluation.saliency.curves import centred_gaussian
from evaluation.saliency.sample import Sample
from wbc.errors import DataError
from wbc.images import decode
from wbc.preprocessing.foreground import Foreground, find_foreground
from wbc.preprocessing.pipeline import Preprocessor
from wbc.saliency.focus import Focus, focus

CYTOPLASM, NUCLEUS = 128, 255
"""Grey levels of the hand-drawn masks; the background is 0."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A hand-drawn cell.

    Attributes:
        truth: the drawn cell in the pixels of the picture, (H, W).
        found: the cell that `find_foreground` detects, (H, W).
        framed: the drawn cell in the frame, (S, S).
    """

    truth: Foreground
    found: Foreground
    framed: Foreground


def read_drawn(path: Path, mask: Path, preprocessor: Preprocessor) -> Drawn:
    """Read the hand-drawn mask of a picture and frame it like the picture.

    Raises:
        DataError: the mask does not exist or has another size than the picture.
    """
    if not mask.is_file():
        raise DataError(f"no mask {mask} for {path}; expected one of the same name")
    rgb, levels = decode(path.read_bytes()), decode(mask.read_bytes())[..., 0]
    if levels.shape != rgb.shape[:2]:
        raise DataError(f"{mask} has {levels.shape} pixels; its picture has {rgb.shape[:2]}")
    size, balanced = preprocessor.spec.size, preprocessor.balance(rgb)
    found = find_foreground(balanced)
    _, to_frame = preprocessor.cut(balanced, found, size)
    nucleus, cell = levels > (CYTOPLASM + NUCLEUS) // 2, levels > CYTOPLASM // 2
    valid = bool(cell.any())
    framed = Foreground(_warp(nucleus, to_frame, size), _warp(cell, to_frame, size), valid)
    return Drawn(Foreground(nucleus, cell, valid), found, framed)


def _warp(mask: NDArray[np.bool_], matrix: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (size, size), flags=cv2.INTER_NEAREST).astype(np.bool_)


def measure_energy(sample: Sample, drawn: list[Drawn], *, seed: int) -> dict[str, Any]:
    """Measure the energy of the predicted class' unmasked map, and of a centred Gaussian, on the drawn cells.

    `ratio` is the energy-based pointing game (Wang et al. 2020, arXiv 1910.01279), `hits` the pointing game (Zhang et
    al. 2018): the share of maps with the maximum on the cell. Images and masks are in the same order.
    """
    truths = [one.framed for one in drawn]
    gaussian = np.repeat(centred_gaussian(sample.heats.shape[1])[None], len(drawn), axis=0)
    measured = [focus(heat, truth) for heat, truth in zip(sample.heats, truths, strict=True)]
    pairs = [(a.lift, b.lift) for a, b in zip(measured, sample.focus, strict=True)]
    gradcam = _locate(sample.heats, truths, seed)
    return {
        "images": len(drawn),
        "gradcam": gradcam,
        "gaussian": _locate(gaussian, truths, seed),
        "served_lift_error": intervals.mean([abs(a - b) for a, b in pairs if a is not None and b is not None], seed),
        "passed": gradcam["lift"] is not None and gradcam["lift"].low > 0,
    }


def _locate(heats: NDArray[np.float32], truths: list[Foreground], seed: int) -> dict[str, Any]:
    measured = [focus(heat, truth) for heat, truth in zip(heats, truths, strict=True)]
    nuclei = [Foreground(truth.nucleus, truth.nucleus, bool(truth.nucleus.any())) for truth in truths]
    inner = [focus(heat, nucleus) for heat, nucleus in zip(heats, nuclei, strict=True)]
    hits = [
        bool(truth.cell[np.unravel_index(int(heat.argmax()), heat.shape)])
        for heat, truth in zip(heats, truths, strict=True)
    ]

    def average(name: str, of: list[Focus]) -> intervals.SampleEstimate | None:
        return intervals.mean([value for one in of if (value := getattr(one, name)) is not None], seed)

    return {
        "ratio": average("ratio", measured),
        "coverage": average("coverage", measured),
        "lift": average("lift", measured),
        "nucleus_ratio": average("ratio", inner),
        "hits": intervals.share(hits),
        "empty": sum(not heat.any() for heat in heats),
    }


def measure_foreground(drawn: list[Drawn], *, seed: int) -> dict[str, Any]:
    """Measure the Dice coefficient of the detected cells and nuclei, and the share of pictures without a cell."""
    valid = [one for one in drawn if one.found.valid]
    cells = [dice(one.found.cell, one.truth.cell) for one in valid]
    nuclei = [dice(one.found.nucleus, one.truth.nucleus) for one in valid]
    points = (0.05, 0.25, 0.5)
    return {
        "images": len(drawn),
        "invalid": intervals.share([not one.found.valid for one in drawn]),
        "cell_dice": intervals.mean(cells, seed),
        "nucleus_dice": intervals.mean(nuclei, seed),
        "cell_dice_invalid_as_0": intervals.mean([*cells, *[0.0] * (len(drawn) - len(valid))], seed),
        "cell_dice_below_half": intervals.share([value < 0.5 for value in cells]),
        "cell_dice_quantiles": {f"{p:g}": round(float(np.quantile(cells, p)), 6) for p in points} if cells else {},
    }


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Return the Dice coefficient of two masks, 2 |a and b| / (|a| + |b|), 0 to 1; of two empty ones 1."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0
