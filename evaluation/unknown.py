"""What happens to pictures of none of the five classes: unclassifiable cells, and no cells at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.answers import Answers
from evaluation.asking import Classifier, Entrant, answer
from evaluation.config import EvaluationConfig
from evaluation.noncells import DRAWN, NONE_OF_THEM, draw, empty_fields
from evaluation.rejection import Detection, Rejection, UnknownResult, detection, share
from wbc.data.dataset import Split
from wbc.errors import DataError
from wbc.images import SUFFIXES

GENERATED = 100
"""Pictures of each kind without a cell."""


def read_unknown(folder: Path, limit: int = 0) -> list[Split]:
    """Cells of none of the classes: one split for each folder inside, with the class index `NONE_OF_THEM`.

    Args:
        folder: with a folder for each kind of cell.
        limit: images a kind, evenly spaced over the sorted names; 0 is all.

    Raises:
        DataError: a folder inside holds no image.
    """
    splits = []
    for kind in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        files = sorted(p for p in kind.iterdir() if p.suffix.lower() in SUFFIXES)
        if not files:
            raise DataError(f"no image in {kind}")
        if limit and len(files) > limit:
            files = [files[i] for i in np.linspace(0, len(files) - 1, limit).astype(int)]
        splits.append(Split(kind.name, tuple(files), np.full(len(files), NONE_OF_THEM)))
    return splits


def measure_rejection(
    entrant: Entrant, classifier: Classifier, known: Answers, config: EvaluationConfig
) -> tuple[Rejection, dict[str, Answers]]:
    """Answers for unknown images, set against those for known ones.

    `unclassifiable/Test` and `fields/bccd` are looked for beside the splits; `GENERATED` pictures of each kind are
    drawn.

    Args:
        entrant: who answers.
        classifier: the forward pass.
        known: what it answered for images of the five classes.
        config: of the evaluation.
    """
    answers: dict[str, Answers] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for split in _groups(config.data_root.parent, Path(temporary), config.limit, config.seed):
            answers[split.name] = answer({"": entrant}, classifier, split, **config.asking)[""]
    rejection = Rejection(
        known=known.split.name,
        known_images=len(known.labels),
        known_flagged=share(known.flagged),
        known_flagged_by={code: share(flags) for code, flags in _by_reason(known).items()},
        unknown=tuple(_result(name, known, found) for name, found in answers.items()),
    )
    return rejection, answers


def _groups(beside: Path, temporary: Path, limit: int, seed: int) -> Iterator[Split]:
    if (folder := beside / "unclassifiable" / "Test").is_dir():
        yield from read_unknown(folder, limit)
    count = min(limit, GENERATED) if limit else GENERATED
    fields = empty_fields(beside / "fields" / "bccd", temporary / "fields", count, seed)
    if fields is not None and fields.paths:
        yield fields
    for group in DRAWN:
        yield draw(temporary / group, group, count, seed)


def _result(group: str, known: Answers, unknown: Answers) -> UnknownResult:
    detections: list[Detection] = [detection("confidence", -known.confidence, -unknown.confidence)]
    if np.isfinite(known.distance).all():
        detections.append(detection("distance", known.distance, unknown.distance))
    return UnknownResult(
        group=group,
        images=len(unknown.labels),
        detections=tuple(detections),
        flagged=share(unknown.flagged),
        flagged_by={code: share(flags) for code, flags in _by_reason(unknown).items()},
    )


def _by_reason(answers: Answers) -> dict[str, NDArray[np.bool_]]:
    codes = sorted({code for codes in answers.reasons for code in codes})
    return {code: np.array([code in codes for codes in answers.reasons]) for code in codes}
