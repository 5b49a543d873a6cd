"""The images that are looked at, prepared and classified as they are served."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation.calibration import probabilities
from wbc.bundle import Bundle
from wbc.data.dataset import read_split
from wbc.images import decode
from wbc.inference import OUTPUTS, OnnxClassifier, Outputs
from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.pipeline import Prepared, Preprocessor
from wbc.saliency.overlay import heatmap

BATCH = 8
"""Images a forward pass: a DenseNet121 at 224 gains nothing from more on a processor."""


@dataclass(frozen=True)
class Model:
    """What is checked: a bundle with its graph and the preprocessing that belongs to it."""

    bundle: Bundle
    preprocessor: Preprocessor
    classifier: OnnxClassifier

    @classmethod
    def load(cls, path: Path, threads: int = 0) -> Model:
        """Load a bundle. Raises what `Bundle.load` raises."""
        bundle = Bundle.load(path)
        return cls(
            bundle, Preprocessor(bundle.manifest.preprocessing), OnnxClassifier(bundle.onnx_path, threads=threads)
        )

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """The graph's outputs for prepared images (N, S, S, 3), batch by batch."""
        parts = [self.classifier(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
        return Outputs(*(np.concatenate([getattr(part, name) for part in parts]) for name in OUTPUTS))

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Calibrated probabilities (N, 5) of prepared images."""
        return probabilities(self(images).logits, self.bundle.manifest.temperature)


@dataclass(frozen=True)
class Sample:
    """Images of one split, the classes in turn, so that any first part of it is as even as the whole.

    Attributes:
        split: the split's name.
        paths: the files.
        labels: int64 (N,), their classes.
        prepared: each framed, normalised, with the found cell, all in the network's pixels.
        outputs: the graph's outputs for the unaltered view of each.
    """

    split: str
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    prepared: tuple[Prepared, ...]
    outputs: Outputs

    def __len__(self) -> int:
        return len(self.paths)

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """What the network sees, uint8 (N, S, S, 3)."""
        return np.stack([prepared.model_input for prepared in self.prepared])

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The classes that the unaltered view gives, int64 (N,)."""
        return np.asarray(self.outputs.logits.argmax(axis=1), np.int64)

    @cached_property
    def heats(self) -> NDArray[np.float32]:
        """The predicted class' map of each, float32 (N, S, S) in [0, 1], not masked."""
        size = self.prepared[0].display.shape[0]
        return np.stack([heatmap(self.outputs.cam[i, c], size) for i, c in enumerate(self.predicted)])

    @property
    def foregrounds(self) -> tuple[Foreground, ...]:
        """The cell found in each."""
        return tuple(prepared.foreground for prepared in self.prepared)

    def first(self, count: int) -> Sample:
        """The first `count` images."""
        outputs = Outputs(*(getattr(self.outputs, name)[:count] for name in OUTPUTS))
        return Sample(self.split, self.paths[:count], self.labels[:count], self.prepared[:count], outputs)


def draw(model: Model, root: Path, split: str, count: int) -> Sample:
    """`count` images of a split, or all there are, evenly spaced within each class.

    Raises:
        DataError: the split is not there, or holds no image.
        InputError: an image cannot be read.
    """
    paths, labels = files(root, split, count)
    prepared = tuple(model.preprocessor.at_input_size(decode(path.read_bytes())) for path in paths)
    return Sample(split, paths, labels, prepared, model(np.stack([p.model_input for p in prepared])))


def files(root: Path, split: str, count: int) -> tuple[tuple[Path, ...], NDArray[np.int64]]:
    """`count` files of a split, or all there are, and their classes: the classes in turn while they last."""
    found = read_split(root, split)
    order = list(islice(_in_turn(found.labels), count))
    return tuple(found.paths[i] for i in order), found.labels[order]


def _in_turn(labels: NDArray[np.int64]) -> Iterator[int]:
    """Positions such that the classes alternate, each class spread over its whole range from the start."""
    queues = [_spread(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    for turn in range(max(len(queue) for queue in queues)):
        for queue in queues:
            if turn < len(queue):
                yield int(queue[turn])


def _spread(positions: NDArray[np.intp]) -> NDArray[np.intp]:
    """The positions by the golden ratio's sequence: any first part is spread over all of them."""
    return positions[np.argsort((np.arange(len(positions)) * 0.6180339887) % 1.0, kind="stable")]
