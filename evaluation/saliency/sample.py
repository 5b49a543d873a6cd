"""Images of a split, prepared and classified as they are served."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation.calibration import probabilities
from wbc.analyzer import Analyzer
from wbc.data.dataset import read_split
from wbc.images import decode
from wbc.inference import Outputs
from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.pipeline import Prepared
from wbc.saliency.focus import Focus, focus
from wbc.saliency.overlay import heatmap
from wbc.settings import settings

BATCH = 8
"""Images per forward pass."""


def load_without_tta(path: Path) -> Analyzer:
    """Load a bundle with the settings of this process except for test-time augmentation: maps are of one view.

    Raises:
        BundleError, DeviceUnavailable: see `Analyzer.load`.
    """
    return Analyzer.load(path, settings().model_copy(update={"tta": "none"}))


def classify(analyzer: Analyzer, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the calibrated probabilities (N, 5) of network inputs (N, S, S, 3)."""
    starts = range(0, len(images), BATCH)
    logits = np.concatenate([analyzer.classifier(images[start : start + BATCH]).logits for start in starts])
    return probabilities(logits, analyzer.bundle.manifest.temperature)


@dataclass(frozen=True)
class Sample:
    """Images of one split, ordered so that any first part is balanced over the classes.

    Attributes:
        split: name of the split.
        paths: the files.
        labels: int64 (N,), class indices.
        prepared: all parts in the network's pixels.
        outputs: outputs for the unaltered view of each.
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
        """Network inputs, uint8 (N, S, S, 3)."""
        return np.stack([prepared.model_input for prepared in self.prepared])

    @cached_property
    def predicted(self) -> NDArray[np.int64]:
        """Predicted classes of the unaltered view, int64 (N,)."""
        return np.asarray(self.outputs.logits.argmax(axis=1), np.int64)

    @cached_property
    def heats(self) -> NDArray[np.float32]:
        """Map of the predicted class of each, float32 (N, S, S) in [0, 1], not masked."""
        size = self.prepared[0].display.shape[0]
        return np.stack([heatmap(self.outputs.cam[i, c], size) for i, c in enumerate(self.predicted)])

    @property
    def foregrounds(self) -> tuple[Foreground, ...]:
        """Detected cell of each."""
        return tuple(prepared.foreground for prepared in self.prepared)

    @cached_property
    def focus(self) -> list[Focus]:
        """Focus of each map on the detected cell."""
        return [focus(heat, cell) for heat, cell in zip(self.heats, self.foregrounds, strict=True)]

    def first(self, count: int) -> Sample:
        """Return the first `count` images."""
        chosen = slice(count)
        kept = replace(self, paths=self.paths[chosen], labels=self.labels[chosen], prepared=self.prepared[chosen])
        return replace(kept, outputs=self.outputs.rows(chosen))


def draw(analyzer: Analyzer, root: Path, split: str, count: int) -> Sample:
    """Prepare and classify at most `count` images of a split, evenly spaced within each class.

    Raises:
        DataError: the split does not exist or has no image.
        InputError: an image cannot be decoded.
    """
    paths, labels = list_files(root, split, count)
    preprocessor = analyzer.pipeline.preprocessor
    prepared = tuple(preprocessor.at_input_size(decode(path.read_bytes())) for path in paths)
    return Sample(split, paths, labels, prepared, Outputs.joined(*analyzer.forward(prepared, batch_size=BATCH)))


def list_files(root: Path, split: str, count: int) -> tuple[tuple[Path, ...], NDArray[np.int64]]:
    """Return at most `count` files of a split and their class indices, the classes in turn."""
    found = read_split(root, split)
    rank = np.empty(len(found.labels), np.int64)
    for label in np.unique(found.labels):
        positions = np.flatnonzero(found.labels == label)
        # Golden-ratio sequence: any first part is spread over the whole class.
        order = np.argsort(np.arange(len(positions)) * 0.6180339887 % 1.0, kind="stable")
        rank[positions[order]] = np.arange(len(positions))
    chosen = np.lexsort((found.labels, rank))[:count]
    return tuple(found.paths[i] for i in chosen), found.labels[chosen]
