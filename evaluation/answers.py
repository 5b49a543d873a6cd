"""The answers for one set of images, as arrays with a row a file."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.reliability import reheated
from wbc.data.dataset import Split, Unreadable


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one entrant for the readable files of one split; row i of each belongs to `split.paths[i]`.

    Attributes:
        split: the files that were read, and their classes.
        probabilities: float64 (N, 5), calibrated.
        reasons: codes of the reasons for review.
        distance: (N,) of the embeddings from the training images; NaN without statistics.
        sharpness, brightness, contrast: (N,) of the framed picture.
        cells: (N,) nuclei of comparable size in the frame; 0 where no cell was outlined.
        lift: (N,) focus lift of the map; NaN without a valid mask.
        views: (N,) views that were averaged.
        temperature: (N,) that the logits were divided by.
        prepare_ms: (N,) wall time of decoding, preparing and concluding.
        embedding: float32 (N, C), of the unaltered view.
        logits: float32 (N, 5), of the unaltered view.
        unreadable: files left out.
    """

    split: Split
    probabilities: NDArray[np.float64]
    reasons: tuple[tuple[str, ...], ...]
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
        """(N,) answered class indices."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(N,) calibrated probability of the answer."""
        return np.asarray(self.probabilities.max(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(N,) whether the answer is the truth."""
        return np.asarray(self.predicted == self.labels)

    @property
    def uncalibrated(self) -> NDArray[np.float64]:
        """(N, 5) the probabilities as they were before temperature scaling."""
        return reheated(self.probabilities, self.temperature)

    @property
    def flagged(self) -> NDArray[np.bool_]:
        """(N,) whether a person has to look."""
        return np.array([bool(codes) for codes in self.reasons], np.bool_)

    def only(self, chosen: NDArray[np.bool_]) -> Answers:
        """The answers for some of the files."""
        kept = {name: getattr(self, name)[chosen] for name in ARRAYS}
        reasons = tuple(codes for codes, keep in zip(self.reasons, chosen, strict=True) if keep)
        return Answers(split=self.split.only(chosen), reasons=reasons, unreadable=self.unreadable, **kept)


ARRAYS = (
    "probabilities",
    "distance",
    "sharpness",
    "brightness",
    "contrast",
    "cells",
    "lift",
    "views",
    "temperature",
    "prepare_ms",
    "embedding",
    "logits",
)
"""The fields of `Answers` that are arrays with a row a file."""


def joined(name: str, parts: Sequence[Answers]) -> Answers:
    """The answers of several splits as those of one."""
    paths = tuple(itertools.chain.from_iterable(part.split.paths for part in parts))
    return Answers(
        split=Split(name, paths, np.concatenate([part.labels for part in parts])),
        reasons=tuple(itertools.chain.from_iterable(part.reasons for part in parts)),
        unreadable=tuple(itertools.chain.from_iterable(part.unreadable for part in parts)),
        **{field: np.concatenate([getattr(part, field) for part in parts]) for field in ARRAYS},
    )
