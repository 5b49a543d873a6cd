"""Energy of the maps on hand-drawn cells, and how well the found cells match them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.saliency import estimates
from evaluation.saliency.curves import centred_gaussian
from evaluation.saliency.sample import Model, Sample
from wbc.errors import DataError
from wbc.images import decode
from wbc.preprocessing.foreground import Foreground, find_foreground
from wbc.saliency.focus import Focus, focus

CYTOPLASM, NUCLEUS = 128, 255
"""Grey levels of the hand-drawn masks; the background is 0."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A hand-drawn cell and the found one, both in the picture's pixels, and the drawn one in the frame's.

    Attributes:
        truth: drawn, (H, W).
        found: what `find_foreground` makes of the picture, (H, W).
        framed: the drawn cell as the network's frame shows it, (S, S); nothing of it is mirrored.
    """

    truth: Foreground
    found: Foreground
    framed: Foreground


def read_drawn(path: Path, mask: Path, model: Model) -> Drawn:
    """A picture's hand-drawn mask, carried into the frame as the picture is.

    Raises:
        DataError: there is no such mask, or it has another size than the picture.
    """
    if not mask.is_file():
        raise DataError(f"no mask {mask} for {path}; expected one of the same name")
    rgb, levels = decode(path.read_bytes()), decode(mask.read_bytes())[..., 0]
    if levels.shape != rgb.shape[:2]:
        raise DataError(f"{mask} has {levels.shape} pixels, its picture {rgb.shape[:2]}")
    preprocessor = model.preprocessor
    size, balanced = preprocessor.spec.size, preprocessor.balance(rgb)
    found = find_foreground(balanced)
    _, to_frame = preprocessor.cut(balanced, found, size)
    nucleus, cell = levels > (CYTOPLASM + NUCLEUS) // 2, levels > CYTOPLASM // 2
    return Drawn(
        Foreground(nucleus, cell, bool(cell.any())),
        found,
        Foreground(_moved(nucleus, to_frame, size), _moved(cell, to_frame, size), valid=bool(cell.any())),
    )


def _moved(mask: NDArray[np.bool_], matrix: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    return cv2.warpAffine(mask.astype(np.uint8), matrix, (size, size), flags=cv2.INTER_NEAREST).astype(np.bool_)


def energy(sample: Sample, drawn: list[Drawn], *, seed: int) -> dict[str, Any]:
    """Where the predicted class' unmasked map lies, by the drawn masks, and where maps that know nothing lie.

    `ratio` is the energy-based pointing game (Wang et al. 2020, arXiv 1910.01279), `hits` the pointing game (Zhang et
    al. 2018): the share of maps whose highest point is on the cell.

    Args:
        sample: the images.
        drawn: their masks, in the same order.
        seed: of the intervals.
    """
    size = sample.heats.shape[1]
    truths = [d.framed for d in drawn]
    gaussian = [centred_gaussian(size)] * len(drawn)
    out: dict[str, Any] = {
        "images": len(drawn),
        "gradcam": _located(list(sample.heats), truths, seed),
        "gaussian": _located(gaussian, truths, seed),
    }
    measured = [focus(heat, truth) for heat, truth in zip(sample.heats, truths, strict=True)]
    served = [focus(heat, found) for heat, found in zip(sample.heats, sample.foregrounds, strict=True)]
    pairs = [
        (a.lift, b.lift) for a, b in zip(measured, served, strict=True) if a.lift is not None and b.lift is not None
    ]
    out["served_lift_error"] = estimates.mean([abs(a - b) for a, b in pairs], seed)
    lift = out["gradcam"]["lift"]
    out["passed"] = lift is not None and lift.low > 0
    return out


def _located(heats: list[NDArray[np.float32]], truths: list[Foreground], seed: int) -> dict[str, Any]:
    measured = [focus(heat, truth) for heat, truth in zip(heats, truths, strict=True)]
    nuclei = [Foreground(t.nucleus, t.nucleus, bool(t.nucleus.any())) for t in truths]
    inner = [focus(heat, nucleus) for heat, nucleus in zip(heats, nuclei, strict=True)]
    hits = [
        bool(truth.cell[np.unravel_index(int(heat.argmax()), heat.shape)])
        for heat, truth in zip(heats, truths, strict=True)
    ]

    def average(name: str, of: list[Focus]) -> estimates.Measured | None:
        return estimates.mean([value for f in of if (value := getattr(f, name)) is not None], seed)

    return {
        "ratio": average("ratio", measured),
        "coverage": average("coverage", measured),
        "lift": average("lift", measured),
        "nucleus_ratio": average("ratio", inner),
        "hits": estimates.share(hits),
        "empty": sum(not heat.any() for heat in heats),
    }


def foreground_quality(drawn: list[Drawn], *, seed: int) -> dict[str, Any]:
    """Dice of the found cell and nucleus against the drawn ones, and the share of pictures in which none was found."""
    valid = [d for d in drawn if d.found.valid]
    counted = {
        part: [dice(getattr(d.found, part), getattr(d.truth, part)) for d in valid] for part in ("cell", "nucleus")
    }
    return {
        "images": len(drawn),
        "invalid": estimates.share([not d.found.valid for d in drawn]),
        "cell_dice": estimates.mean(counted["cell"], seed),
        "nucleus_dice": estimates.mean(counted["nucleus"], seed),
        "cell_dice_invalid_as_0": estimates.mean([*counted["cell"], *[0.0] * (len(drawn) - len(valid))], seed),
        "cell_dice_below_half": estimates.share([value < 0.5 for value in counted["cell"]]),
        "cell_dice_quantiles": quantiles(counted["cell"], (0.05, 0.25, 0.5)),
    }


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Overlap of two masks, 2 |a and b| / (|a| + |b|), 0 to 1; of two empty ones 1."""
    total = int(a.sum()) + int(b.sum())
    return 2.0 * int((a & b).sum()) / total if total else 1.0


def quantiles(values: list[float], points: tuple[float, ...]) -> dict[str, float]:
    """Quantiles of a sample by their name, empty for an empty sample."""
    if not values:
        return {}
    return {f"{p:g}": round(float(q), 6) for p, q in zip(points, np.quantile(values, points), strict=True)}
