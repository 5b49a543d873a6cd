"""What the product answers for a set of files: the served path, with full batches."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from evaluation.answers import ARRAYS, Answers
from wbc.adaptation import tta
from wbc.adaptation.routing import LabelSet
from wbc.analysis import Analysis, Pipeline
from wbc.data.dataset import Split, Unreadable, cores
from wbc.errors import DataError, InputError
from wbc.inference import Outputs
from wbc.preprocessing.pipeline import Prepared

Classifier = Callable[[NDArray[np.uint8]], Outputs]
T = TypeVar("T")

AHEAD = 64
"""Files that are prepared ahead of their use."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One way of answering that is to be measured.

    Attributes:
        pipeline: the served path with its settings.
        label_set: what the operator declared, if anything.
    """

    pipeline: Pipeline
    label_set: LabelSet | None = None


def answer(
    entrants: Mapping[str, Entrant],
    classifier: Classifier,
    split: Split,
    *,
    batch_size: int = 32,
    workers: int = 0,
) -> dict[str, Answers]:
    """Let several entrants, all with the same preprocessing, answer for a split; its files are prepared once.

    Args:
        entrants: by name. Where one of them takes all eight views, they are computed once for all.
        classifier: the forward pass.
        split: the files.
        batch_size: views in one forward pass at most.
        workers: threads that decode and prepare; 0 is one a core.

    Raises:
        DataError: no file can be read.
    """
    pipelines = [entrant.pipeline for entrant in entrants.values()]
    if len({p.preprocessor.spec.fingerprint for p in pipelines}) != 1:
        raise ValueError("entrants that answer together have one preprocessing; received several")
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in entrants}
    unreadable: list[Unreadable] = []
    read: list[int] = []
    for group in _batched(_prepared(pipelines[0], split.paths, workers), batch_size):
        sound = [(number, item[0], item[1]) for number, item in group if not isinstance(item, str)]
        unreadable += [Unreadable(split.paths[n], item) for n, item in group if isinstance(item, str)]
        outputs = _forward(pipelines, classifier, [prepared for _, prepared, _ in sound], batch_size)
        for (number, prepared, timings), out in zip(sound, outputs, strict=True):
            read.append(number)
            for name, entrant in entrants.items():
                used = out.rows(slice(0, _views(entrant.pipeline, out)))
                analysis = entrant.pipeline.conclude(prepared, used, timings, entrant.label_set)
                rows[name].append(_row(analysis, out, entrant))
    if not read:
        raise DataError(f"none of the {len(split.paths)} files of {split.name} can be read: {unreadable[0].reason}")
    kept, bad = split.only(np.array(read, np.int64)), tuple(unreadable)
    return {name: _gathered(kept, found, bad) for name, found in rows.items()}


def _prepared(
    pipeline: Pipeline, paths: Sequence[Path], workers: int
) -> Iterator[tuple[int, tuple[Prepared, dict[str, float]] | str]]:
    """Files in order, prepared by threads a few ahead of their use; the reason where one cannot be read."""

    def one(path: Path) -> tuple[Prepared, dict[str, float]] | str:
        try:
            return pipeline.prepare(path.read_bytes())
        except (InputError, OSError) as error:
            return str(error)

    waiting: deque[Future[tuple[Prepared, dict[str, float]] | str]] = deque()
    with ThreadPoolExecutor(cores(workers)) as pool:
        number = 0
        for path in paths:
            waiting.append(pool.submit(one, path))
            if len(waiting) > AHEAD:
                yield number, waiting.popleft().result()
                number += 1
        while waiting:
            yield number, waiting.popleft().result()
            number += 1


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _forward(
    pipelines: Sequence[Pipeline], classifier: Classifier, images: Sequence[Prepared], batch_size: int
) -> list[Outputs]:
    """The outputs for each image: of the views that the most demanding entrant takes of it."""
    if not images:
        return []
    every = any(p.manifest.tta == "light" for p in pipelines)
    mode: tta.Mode = "light" if every else "none"
    first = _split(classifier, [tta.views(image.model_input, mode) for image in images], batch_size)
    if every:
        return first
    again = [n for n, out in enumerate(first) if any(p.unsure(out) for p in pipelines)]
    further = _split(classifier, [tta.further_views(images[n].model_input) for n in again], batch_size)
    for n, more in zip(again, further, strict=True):
        first[n] = Outputs.joined(first[n], more)
    return first


def _split(classifier: Classifier, views: Sequence[NDArray[np.uint8]], batch_size: int) -> list[Outputs]:
    """Run views of several images in batches that hold views of different images, as the service does."""
    if not views:
        return []
    stacked = np.concatenate(views)
    outputs = Outputs.joined(*(classifier(stacked[i : i + batch_size]) for i in range(0, len(stacked), batch_size)))
    ends = np.cumsum([len(v) for v in views])
    return [outputs.rows(slice(end - len(v), end)) for v, end in zip(views, ends.tolist(), strict=True)]


def _views(pipeline: Pipeline, outputs: Outputs) -> int:
    """How many of the views that were computed this pipeline would have taken."""
    looks_again = pipeline.manifest.tta == "light" or pipeline.unsure(outputs)
    return len(tta.LIGHT_VIEWS) if looks_again else 1


def _row(analysis: Analysis, outputs: Outputs, entrant: Entrant) -> dict[str, Any]:
    """What is kept of one analysis: no picture, because thousands are kept."""
    aux = entrant.label_set is not None and entrant.label_set.head == "aux"
    quality = analysis.quality
    return {
        "reasons": tuple(reason.code for reason in analysis.review),
        "probabilities": analysis.probabilities,
        "distance": np.nan if analysis.distance is None else analysis.distance,
        "sharpness": np.nan if quality is None else quality.sharpness,
        "brightness": np.nan if quality is None else quality.brightness,
        "contrast": np.nan if quality is None else quality.contrast,
        "cells": analysis.prepared.foreground.candidates if analysis.prepared.foreground.valid else 0,
        "lift": np.nan if analysis.focus.lift is None else analysis.focus.lift,
        "views": analysis.views,
        "temperature": 1.0 if aux else analysis.temperature,
        "prepare_ms": sum(analysis.timings_ms.values()),
        "embedding": analysis.embedding,
        "logits": outputs.logits[0],
    }


def _gathered(split: Split, rows: Sequence[dict[str, Any]], unreadable: tuple[Unreadable, ...]) -> Answers:
    arrays = {name: np.stack([row[name] for row in rows]) for name in ARRAYS}
    return Answers(split=split, reasons=tuple(row["reasons"] for row in rows), unreadable=unreadable, **arrays)
