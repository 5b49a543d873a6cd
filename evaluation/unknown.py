"""Out-of-distribution images: unclassifiable cells and pictures without a cell."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from evaluation.config import EvaluationConfig
from evaluation.noncells import DRAWN, UNKNOWN, draw, empty_fields
from evaluation.predictions import Predictions, predict_one
from evaluation.rejection import Rejection, UnknownResult, measure_detection, share
from wbc.analyzer import Analyzer
from wbc.data.dataset import Split
from wbc.errors import DataError
from wbc.images import SUFFIXES

GENERATED = 100
"""Pictures of each kind without a cell."""


def read_unknown(folder: Path, limit: int = 0) -> list[Split]:
    """List cells of none of the classes: one split per folder inside, with the class index `UNKNOWN`.

    Args:
        folder: contains a folder for each kind of cell.
        limit: maximum number of images per kind, evenly spaced over the sorted names; 0 takes all.

    Raises:
        DataError: a folder inside has no image.
    """
    splits = []
    for kind in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(p for p in kind.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"no image in {kind}")
        if limit and len(files) > limit:
            files = [files[i] for i in np.linspace(0, len(files) - 1, limit).astype(int)]
        splits.append(Split(kind.name, tuple(files), np.full(len(files), UNKNOWN)))
    return splits


def measure_rejection(
    analyzer: Analyzer, known: Predictions, config: EvaluationConfig
) -> tuple[Rejection, dict[str, Predictions]]:
    """Compare predictions for out-of-distribution images with those for known images.

    `unclassifiable/Test` and `fields/bccd` are read next to the splits; `GENERATED` pictures of each kind are drawn.

    Args:
        analyzer: the analyzer.
        known: its predictions for images of the five classes.
        config: configuration of the evaluation.

    Returns:
        The measurements, and the predictions by group.
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
