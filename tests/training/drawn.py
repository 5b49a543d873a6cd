"""Drawn blood cells: five classes that anyone can tell apart by the colour and form of the nucleus."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.images import encode_png
from wbc.labels import CLASSES

BACKGROUND = (244, 226, 214)
PLASMA = ((200, 176, 206), (236, 168, 150), (196, 208, 238), (198, 196, 214), (232, 204, 212))
NUCLEUS = ((70, 30, 120), (120, 40, 110), (60, 40, 150), (130, 100, 170), (90, 50, 130))
LOBES = (
    ((0, 0, 10),),
    ((-5, 0, 7), (5, 0, 7)),
    ((0, 0, 12),),
    ((-3, 2, 8), (4, -2, 9)),
    ((-6, 3, 5), (6, 3, 5), (0, -6, 5)),
)


def draw_cell(label: int, rng: np.random.Generator, size: int = 64) -> NDArray[np.uint8]:
    """Draw one cell of a class near the centre of a stained film, uint8 (size, size, 3)."""
    unit = size / 64
    picture = np.full((size, size, 3), BACKGROUND, np.float32)
    x, y = size / 2 + rng.uniform(-2, 2, 2) * unit
    cv2.circle(picture, (round(x), round(y)), round(18 * unit), PLASMA[label], cv2.FILLED)
    for across, down, radius in LOBES[label]:
        centre = (round(x + across * unit), round(y + down * unit))
        cv2.circle(picture, centre, round(radius * unit), NUCLEUS[label], cv2.FILLED)
    picture += rng.normal(0, 3, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_dataset(root: Path, sizes: dict[str, int], seed: int = 0) -> None:
    """Write splits of drawn cells as PNG files; `sizes` is the number of images per class, by split."""
    rng = np.random.default_rng(seed)
    for split, count in sizes.items():
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:03d}.png").write_bytes(encode_png(draw_cell(label, rng)))
