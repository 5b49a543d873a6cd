"""Input images of the benchmarks: drawn cells or the files of a folder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.data.sampling import evenly_spaced
from wbc.errors import DataError
from wbc.files import list_images
from wbc.images import SUFFIXES, encode_jpeg
from wbc.labels import CLASSES

SIDE = 360
"""Width and height of a drawn cell in pixels, as in the PBC data set."""


def load_pictures(folder: Path | None, count: int, *, seed: int = 0) -> tuple[list[bytes], str]:
    """Return up to `count` image files, evenly spaced over the sorted names, and a description of their source.

    Args:
        folder: folder of image files; None draws cells.
        count: largest number of files.
        seed: random seed of the drawn cells.

    Raises:
        DataError: the folder contains no image file.
    """
    if folder is None:
        rng = np.random.default_rng(seed)
        return [encode_jpeg(draw_cell(rng)) for _ in range(count)], f"{count} drawn cells, JPEG, {SIDE}x{SIDE} pixels"
    files, _ = list_images(folder)
    if not files:
        raise DataError(f"no image file in {folder}; expected {', '.join(sorted(SUFFIXES))}")
    chosen = [files[index].read_bytes() for index in evenly_spaced(len(files), count)]
    return chosen, f"{len(chosen)} files of {folder.name}"


def draw_cell(rng: np.random.Generator, size: int = SIDE) -> NDArray[np.uint8]:
    """Draw a leukocyte of no particular class among red cells, with camera noise: RGB uint8 (size, size, 3)."""
    canvas = np.full((size, size, 3), (240, 230, 226), np.uint8)
    unit, middle = size / 360, np.array([size / 2, size / 2])
    for angle in np.arange(6) + rng.uniform(0, 1):
        at = middle + rng.uniform(130, 150) * unit * np.array([np.cos(angle), np.sin(angle)])
        _disc(canvas, at, 38 * unit, (224, 172, 168))
        _disc(canvas, at, 14 * unit, (234, 190, 186))
    centre = middle + rng.uniform(-8, 8, 2) * unit
    _disc(canvas, centre, rng.uniform(66, 78) * unit, (202, 186, 212))
    for _ in range(int(rng.integers(2, 5))):
        _disc(canvas, centre + rng.uniform(-24, 24, 2) * unit, rng.uniform(24, 32) * unit, (88, 50, 138))
    for _ in range(60):
        _disc(canvas, centre + rng.normal(0, 28, 2) * unit, 2.5 * unit, (150, 96, 150))
    smooth = cv2.GaussianBlur(canvas, (0, 0), unit)
    grain = rng.normal(0, 3, smooth.shape) + rng.uniform(-6, 6, 3)
    return np.clip(np.rint(smooth + grain), 0, 255).astype(np.uint8)


def write_splits(root: Path, per_class: int, *, seed: int = 0) -> None:
    """Draw a data set: the folders `Train` and `Val`, with one folder per class in each."""
    rng = np.random.default_rng(seed)
    for split, count in (("Train", per_class), ("Val", max(2, per_class // 8))):
        for label in CLASSES:
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / f"{number:04d}.jpg").write_bytes(encode_jpeg(draw_cell(rng)))


def _disc(canvas: NDArray[np.uint8], at: NDArray[np.float64], radius: float, colour: tuple[int, int, int]) -> None:
    x, y = (round(float(v)) for v in at)
    cv2.circle(canvas, (x, y), round(radius), colour, -1, cv2.LINE_AA)
