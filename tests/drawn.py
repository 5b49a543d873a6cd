"""Drawn cells of a stained film with exactly known masks and classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.images import encode_png
from wbc.labels import CLASSES

BACKGROUND = (240, 230, 226)
RED_CELL = (224, 172, 168)


@dataclass(frozen=True, slots=True)
class Look:
    """Appearance of a class; lengths are shares of the picture's side at scale 1.

    Attributes:
        radius: of the cell.
        cytoplasm: colour.
        nucleus: colour.
        lobes: (x, y, radius) of each disc of the nucleus, from the cell's middle.
        granules: how many.
        granule: their colour.
    """

    radius: float
    cytoplasm: tuple[int, int, int]
    nucleus: tuple[int, int, int]
    lobes: tuple[tuple[float, float, float], ...]
    granules: int = 0
    granule: tuple[int, int, int] = (0, 0, 0)


LOOKS = {
    "Basophil": Look(0.20, (150, 130, 190), (86, 60, 140), ((0.0, 0.0, 0.12),), 60, (58, 36, 104)),
    "Eosinophil": Look(
        0.22, (222, 150, 130), (100, 52, 136), ((-0.08, 0.0, 0.085), (0.08, 0.0, 0.085)), 90, (208, 96, 64)
    ),
    "Lymphocyte": Look(0.17, (152, 176, 220), (76, 44, 130), ((0.0, 0.0, 0.135),)),
    "Monocyte": Look(
        0.27, (182, 184, 210), (124, 96, 166), ((-0.07, 0.03, 0.10), (0.05, -0.03, 0.11), (0.10, 0.07, 0.08))
    ),
    "Neutrophil": Look(
        0.21, (214, 190, 214), (88, 48, 140), ((-0.085, 0.035, 0.062), (0.0, -0.05, 0.062), (0.085, 0.035, 0.062))
    ),
}


@dataclass(frozen=True, slots=True)
class DrawnCell:
    """A drawn image, uint8 (S, S, 3), and its masks, bool (S, S)."""

    rgb: NDArray[np.uint8]
    nucleus: NDArray[np.bool_]
    cell: NDArray[np.bool_]


def draw(
    label: str,
    rng: np.random.Generator,
    size: int = 224,
    *,
    scale: float = 1.0,
    centres: Sequence[tuple[float, float]] = ((0.5, 0.5),),
    red_cells: int = 7,
) -> DrawnCell:
    """Draw one leukocyte of a class, or several, on a pale background among red cells.

    Args:
        label: one of `labels.CLASSES`.
        rng: decides on position, angle, tint and grain; the same generator draws the same picture.
        size: side of the picture in pixels.
        scale: of the cells, the red ones as well; another magnification.
        centres: (x, y) of each leukocyte, shares of the side; each is moved by up to 2% of it.
        red_cells: how many, where there is room.
    """
    look, big = LOOKS[label], 2 * size  # drawn at twice the size, so that edges are smooth
    canvas = np.full((big, big, 3), BACKGROUND, np.float32)
    middles = [np.asarray(centre) * big + rng.uniform(-0.02, 0.02, 2) * big for centre in centres]
    reach, red = look.radius * scale * big, 0.11 * scale * big
    for _ in range(red_cells):
        at = rng.uniform(0, big, 2)
        if all(np.hypot(*(at - middle)) > reach + 1.15 * red for middle in middles):
            _disc(canvas, at, red, RED_CELL)
            _disc(canvas, at, 0.4 * red, tuple(np.add(RED_CELL, 12)))
    nucleus, cell = np.zeros((big, big), np.float32), np.zeros((big, big), np.float32)
    for middle in middles:
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        _disc(canvas, middle, reach, look.cytoplasm)
        _disc(cell, middle, reach, (1.0,))
        for x, y, radius in look.lobes:
            at = middle + turn @ (np.array([x, y]) * scale * big)
            _disc(canvas, at, radius * scale * big, look.nucleus)
            _disc(nucleus, at, radius * scale * big, (1.0,))
        for _ in range(look.granules):
            distance, bearing = 0.93 * reach * np.sqrt(rng.uniform()), rng.uniform(0, 2 * np.pi)
            at = middle + distance * np.array([np.cos(bearing), np.sin(bearing)])
            _disc(canvas, at, 0.011 * scale * big, look.granule)
    canvas += rng.uniform(-6, 6, 3)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    rgb = np.clip(cv2.GaussianBlur(small, (0, 0), 0.7) + rng.normal(0, 2.5, small.shape), 0, 255)
    nucleus, cell = (cv2.resize(mask, (size, size), interpolation=cv2.INTER_AREA) for mask in (nucleus, cell))
    return DrawnCell(np.rint(rgb).astype(np.uint8), nucleus > 0.5, cell > 0.5)


def drawn_cell(label: str, rng: np.random.Generator, size: int = 224) -> NDArray[np.uint8]:
    """Draw one cell of a class in the centre of the image, RGB uint8 (size, size, 3)."""
    return draw(label, rng, size).rgb


def write_dataset(
    root: Path,
    per_class: int,
    splits: Sequence[str] = ("Train", "Val"),
    *,
    size: int = 224,
    seed: int = 0,
    mislabelled: int = 0,
) -> Path:
    """Splits of drawn cells as PNG files, one folder a split and one folder a class inside it.

    Args:
        root: folder of the splits.
        per_class: images a class and split.
        splits: their names.
        size: side of the pictures in pixels.
        seed: of all pictures.
        mislabelled: images a class, outside `Train`, that show the next class. Real sets have them, and a model that
            is always right cannot be calibrated.

    Returns:
        `root`.
    """
    rng = np.random.default_rng(seed)
    for split in splits:
        for index, label in enumerate(CLASSES):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(per_class):
                wrong = split != "Train" and number < mislabelled
                shown = CLASSES[(index + wrong) % len(CLASSES)]
                (folder / f"{number:03d}.png").write_bytes(encode_png(drawn_cell(shown, rng, size)))
    return root


def _disc(canvas: NDArray[np.float32], at: NDArray[np.float64], radius: float, colour: Sequence[float]) -> None:
    cv2.circle(
        canvas, (round(at[0]), round(at[1])), max(1, round(radius)), [float(level) for level in colour], cv2.FILLED
    )
