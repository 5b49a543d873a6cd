"""Predictions for the images of a split, under one or several configurations of the served pipeline."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.reliability import undo_temperature
from wbc.adaptation.routing import LabelSet
from wbc.analysis import Analysis, Pipeline
from wbc.analyzer import Analyzer
from wbc.data.dataset import Split, Unreadable
from wbc.errors import DataError, InputError, WBCError


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings to evaluate: a pipeline and the label set that the operator declared, if any."""

    pipeline: Pipeline
    label_set: LabelSet | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions for the readable images of one split; row i belongs to `split.paths[i]`.

    Attributes:
        split: the readable images and their classes.
        reasons: codes of the reasons for review.
        probabilities: float64 (N, 5), calibrated.
        distance: (N,) distance of the embedding from the training images; NaN without statistics.
        sharpness, brightness, contrast: (N,) quality of the framed picture; NaN where it was not measured.
        cells: (N,) nuclei of comparable size in the frame; 0 without a valid mask.
        lift: (N,) focus lift of the map; NaN without a valid mask.
        views: (N,) number of views that were averaged.
        temperature: (N,) temperature that the logits were divided by.
        prepare_ms: (N,) wall time of all steps except the forward pass.
        embedding: float32 (N, C), of the unaltered view.
        logits: float32 (N, 5), of the unaltered view.
        unreadable: files that could not be decoded.
    """

    split: Split
    reasons: tuple[tuple[str, ...], ...]
    probabilities: NDArray[np.float64]
    distance: NDArray[np.float64]
    sharpness: NDArray[np.float64]
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    cells: NDArray[np.int64]
    lift: NDArray[np.float64]
    views: NDArray[np.int64]
    temperature: NDArray[np.float64]
    prepare_ms: NDArray[np.float64]
    embedding: NDArray[np.float32]
    logits: NDArray[np.float32]
    unreadable: tuple[Unreadable, ...] = ()

    @property
    def labels(self) -> NDArray[np.int64]:
        """(N,) true class indices."""
        return self.split.labels

    @property
    def predicted(self) -> NDArray[np.int64]:
        """(N,) predicted class indices."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(N,) calibrated probability of the predicted class."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) true where the predicted class is the true one."""
        return np.asarray(self.predicted == self.labels)

    @property
    def uncalibrated(self) -> NDArray[np.float64]:
        """(N, 5) probabilities before temperature scaling."""
        return undo_temperature(self.probabilities, self.temperature)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(N,) true where the image is flagged for review."""
        return np.array([bool(codes) for codes in self.reasons], np.bool_)

    @property
    def flagged_by(self) -> dict[str, NDArray[np.bool_]]:
        """(N,) true where the image has the reason, for each reason that occurs, sorted by code."""
        codes = sorted({code for codes in self.reasons for code in codes})
        return {code: np.array([code in codes for codes in self.reasons]) for code in codes}

    def only(self, chosen: NDArray[np.bool_]) -> Predictions:
        """Return the predictions for some of the images, chosen by mask (N,)."""
        return replace(
            self,
            split=self.split.only(chosen),
            reasons=tuple(itertools.compress(self.reasons, chosen)),
            **{name: getattr(self, name)[chosen] for name in ARRAYS},
        )

    @classmethod
    def joined(cls, name: str, parts: Sequence[Predictions]) -> Predictions:
        """Return the predictions for several splits as those for one split."""
        return cls(
            split=replace(Split.joined([part.split for part in parts]), name=name),
            reasons=tuple(itertools.chain.from_iterable(part.reasons for part in parts)),
            unreadable=tuple(itertools.chain.from_iterable(part.unreadable for part in parts)),
            **{field: np.concatenate([getattr(part, field) for part in parts]) for field in ARRAYS},
        )


ARRAYS = tuple(one.name for one in fields(Predictions) if one.name not in ("split", "reasons", "unreadable"))
"""Fields of `Predictions` that are arrays with one row per image."""


def predict(
    analyzer: Analyzer,
    split: Split,
    configurations: Mapping[str, Configuration],
    *,
    batch_size: int = 32,
    workers: int = 0,
) -> dict[str, Predictions]:
    """Predict the images of a split under several configurations that share decoding, preparation and forward pass.

    Args:
        analyzer: runs the forward pass.
        split: the images.
        configurations: by name, all with the same preprocessing.
        batch_size: maximum number of views in a forward pass.
        workers: threads that decode and prepare; 0 takes the CPU quota.

    Raises:
        DataError: no file can be read.
        ModelError: the forward pass failed.
        ValueError: the configurations prepare images differently.
    """
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in configurations}
    readable: list[int] = []
    unreadable: list[Unreadable] = []
    pipelines = [one.pipeline for one in configurations.values()]
    results = analyzer.forward_many(split.paths, pipelines=pipelines, batch_size=batch_size, workers=workers)
    for number, (path, found) in enumerate(results):
        if isinstance(found, InputError):
            unreadable.append(Unreadable(path, str(found)))
            continue
        if isinstance(found, WBCError):
            raise found
        readable.append(number)
        for name, one in configurations.items():
            outputs = one.pipeline.select(found.outputs)
            analysis = one.pipeline.conclude(found.prepared, outputs, found.timings_ms, one.label_set)
            rows[name].append({**_measure(analysis), "logits": outputs.logits[0]})
    if not readable:
        raise DataError(f"none of the {len(split.paths)} files of {split.name} can be read: {unreadable[0].reason}")
    kept = split.only(np.array(readable))
    return {
        name: Predictions(
            split=kept,
            reasons=tuple(row["reasons"] for row in found),
            unreadable=tuple(unreadable),
            **{field: np.stack([row[field] for row in found]) for field in ARRAYS},
        )
        for name, found in rows.items()
    }


def predict_one(
    analyzer: Analyzer, split: Split, *, pipeline: Pipeline | None = None, batch_size: int = 32, workers: int = 0
) -> Predictions:
    """Predict the images of a split with one pipeline, by default the analyzer's; see `predict`."""
    only = {"": Configuration(pipeline or analyzer.pipeline)}
    return predict(analyzer, split, only, batch_size=batch_size, workers=workers)[""]


def _measure(analysis: Analysis) -> dict[str, Any]:
    """Return the values kept of one analysis; pictures would fill the memory."""
    # The auxiliary head decides alone and is not calibrated.
    uncalibrated = analysis.label_set is not None and analysis.label_set.head == "aux"
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
        "temperature": 1.0 if uncalibrated else analysis.temperature,
        "prepare_ms": sum(analysis.timings_ms.values()),
        "embedding": analysis.embedding,
    }
