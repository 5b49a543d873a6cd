"""Out-of-distribution images: unclassifiable cells, and pictures without a cell, generated or cut from photographs."""

from __future__ import annotations

import csv
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.config import EvaluationConfig
from evaluation.predictions import Predictions, predict_one
from evaluation.rejection import Rejection, UnknownResult, measure_detection, share
from wbc.analyzer import Analyzer
from wbc.data.dataset import Split
from wbc.data.sampling import evenly_spaced
from wbc.errors import DataError
from wbc.images import SUFFIXES, decode, encode_png

Rgb = NDArray[np.uint8]

SIDE = 224

UNKNOWN = -1
"""Class index of images that show none of the classes."""

GENERATED = 100
"""Pictures of each kind without a cell."""


def read_unknown(folder: Path, limit: int = 0) -> list[Split]:
    """List cells of none of the classes: one split per folder inside, `limit` images each evenly spaced; 0 takes all.

    Raises:
        DataError: a folder inside has no image.
    """
    splits = []
    for kind in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(p for p in kind.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"no image in {kind}")
        if limit and len(files) > limit:
            files = [files[i] for i in evenly_spaced(len(files), limit)]
        splits.append(Split(kind.name, tuple(files), np.full(len(files), UNKNOWN)))
    return splits


def measure_rejection(
    analyzer: Analyzer, known: Predictions, config: EvaluationConfig
) -> tuple[Rejection, dict[str, Predictions]]:
    """Compare predictions for out-of-distribution images with those for known images.

    `unclassifiable/Test` and `fields/bccd` are read next to the splits; `GENERATED` pictures of each kind are drawn.
    The predictions by group are returned too.
    """
    with tempfile.TemporaryDirectory() as temporary:
        splits = _groups(config.data_root.parent, Path(temporary), config.limit, config.seed)
        unknown = {split.name: predict_one(analyzer, split, **config.batching) for split in splits}
    rejection = Rejection(
        known=known.split.name,
        known_images=len(known.labels),
        known_flagged=share(known.flagged),
        known_flagged_by={code: share(flags) for code, flags in known.flagged_by.items()},
        unknown=tuple(_result(name, known, found) for name, found in unknown.items()),
    )
    return rejection, unknown


def _groups(parent: Path, temporary: Path, limit: int, seed: int) -> Iterator[Split]:
    if (folder := parent / "unclassifiable" / "Test").is_dir():
        yield from read_unknown(folder, limit)
    count = min(limit, GENERATED) if limit else GENERATED
    fields = empty_fields(parent / "fields" / "bccd", temporary / "fields", count, seed)
    if fields is not None and fields.paths:
        yield fields
    for group in DRAWN:
        yield draw(temporary / group, group, count, seed)


def _result(group: str, known: Predictions, unknown: Predictions) -> UnknownResult:
    detections = [measure_detection("confidence", -known.confidence, -unknown.confidence)]
    if np.isfinite(known.distance).all():
        detections.append(measure_detection("distance", known.distance, unknown.distance))
    return UnknownResult(
        group=group,
        images=len(unknown.labels),
        detections=tuple(detections),
        flagged=share(unknown.flagged),
        flagged_by={code: share(flags) for code, flags in unknown.flagged_by.items()},
    )


def noise(rng: np.random.Generator) -> Rgb:
    """Return noise of a random spread around a random colour, white or blurred."""
    grain = rng.normal(0.0, 1.0, (SIDE, SIDE, 3)).astype(np.float32)
    if (sigma := float(rng.choice([0.0, 1.5, 4.0]))) > 0:
        blurred = cv2.GaussianBlur(grain, (0, 0), sigma)
        grain = (blurred / blurred.std()).astype(np.float32)
    return _uint8(rng.uniform(60, 200, 3) + rng.uniform(10, 70) * grain)


def plain(rng: np.random.Generator) -> Rgb:
    """Return one colour with a slight gradient."""
    slope = np.linspace(0.0, rng.uniform(0, 25), SIDE)[:, None, None]
    return _uint8(np.broadcast_to(rng.uniform(0, 255, 3) - slope, (SIDE, SIDE, 3)))


def texture(rng: np.random.Generator) -> Rgb:
    """Return a random crop of one of scikit-learn's two sample photographs, rotated by a multiple of 90 degrees."""
    from sklearn.datasets import load_sample_image

    photograph = load_sample_image(str(rng.choice(["china.jpg", "flower.jpg"])))
    side = int(rng.integers(96, 320))
    top, left = (int(rng.integers(0, length - side)) for length in photograph.shape[:2])
    piece = np.rot90(photograph[top : top + side, left : left + side], int(rng.integers(4)))
    return np.asarray(cv2.resize(piece, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


DRAWN: Mapping[str, Callable[[np.random.Generator], Rgb]] = {
    "noise": noise,
    "plain colour": plain,
    "photographs": texture,
}
"""Generators by name of the group."""


def draw(folder: Path, group: str, count: int, seed: int) -> Split:
    """Write `count` pictures of a group of `DRAWN` as PNG files."""
    rng = np.random.default_rng([seed, list(DRAWN).index(group)])
    return _write(folder, group, (DRAWN[group](rng) for _ in range(count)))


def empty_fields(fields: Path, folder: Path, count: int, seed: int) -> Split | None:
    """Write at most `count` crops without a leukocyte as PNG files, one per smear field; None without fields.

    Fields are `*.jpg` with `boxes.csv` (`image,name,xmin,ymin,xmax,ymax`).
    """
    if not (fields / "boxes.csv").is_file():
        return None
    leukocytes: dict[str, list[tuple[int, ...]]] = defaultdict(list)
    with (fields / "boxes.csv").open(newline="") as rows:
        for row in csv.DictReader(rows):
            boxes = leukocytes[row["image"]]
            if row["name"] == "WBC":
                boxes.append(tuple(int(float(row[key])) for key in ("xmin", "ymin", "xmax", "ymax")))
    rng = np.random.default_rng([seed, len(DRAWN)])
    names = rng.permutation(sorted(leukocytes))

    def crops() -> Iterator[Rgb]:
        for name in names:
            picture = decode((fields / str(name)).read_bytes())
            if (corner := _free_corner(picture.shape, leukocytes[str(name)], rng)) is not None:
                yield picture[corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]

    return _write(folder, "fields without a leukocyte", islice(crops(), count))


def _free_corner(
    shape: tuple[int, ...], boxes: list[tuple[int, ...]], rng: np.random.Generator
) -> tuple[int, int] | None:
    """Return the top left corner of a crop that touches none of the boxes; None if forty tries find none."""
    for _ in range(40):
        top, left = int(rng.integers(0, shape[0] - SIDE + 1)), int(rng.integers(0, shape[1] - SIDE + 1))
        if all(x1 < left or x0 > left + SIDE or y1 < top or y0 > top + SIDE for x0, y0, x1, y1 in boxes):
            return top, left
    return None


def _write(folder: Path, group: str, pictures: Iterator[Rgb]) -> Split:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(folder / f"{number:04d}.png")
        paths[-1].write_bytes(encode_png(np.ascontiguousarray(picture)))
    return Split(group, tuple(paths), np.full(len(paths), UNKNOWN))


def _uint8(values: NDArray[np.floating]) -> Rgb:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)
