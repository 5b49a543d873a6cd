"""XAIFocusMonitor: measures during training how much of the class activation map lies on the cell."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import cv2
import keras
import numpy as np
from numpy.typing import NDArray

from training.batches import MAIN
from training.scores import checks_below
from wbc.data.cache import ImageCache, resized
from wbc.data.dataset import Split
from wbc.data.sampling import evenly_spaced
from wbc.nn.classifier import ATTENTION
from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.pipeline import Preprocessor
from wbc.saliency.closed_form import class_activation_maps
from wbc.saliency.focus import focus

log = logging.getLogger("wbc.training")


@dataclass(frozen=True, slots=True)
class FocusSample:
    """Prepared images with the cell found in each.

    Attributes:
        images: uint8 (N, S, S, 3).
        foregrounds: cell masks of the framed images; an image with an invalid mask has no focus ratio.
    """

    images: NDArray[np.uint8]
    foregrounds: tuple[Foreground, ...]

    @classmethod
    def of(cls, split: Split, count: int, preprocessor: Preprocessor, size: int, cache: ImageCache) -> FocusSample:
        """Select `count` images of a split, evenly over the classes and evenly spaced within each."""
        present = np.unique(split.labels)
        chosen: list[int] = []
        for number, label in enumerate(present):
            positions = np.flatnonzero(split.labels == label)
            quota = count // len(present) + (number < count % len(present))
            chosen += positions[evenly_spaced(len(positions), quota)].tolist()
        prepared = [preprocessor(cache.decoded(split.paths[i])) for i in chosen]
        images = np.stack([resized(p.model_input, size) for p in prepared])
        return cls(images, tuple(p.foreground for p in prepared))


def check_focus(model: keras.Model, sample: FocusSample, batch_size: int = 32) -> dict[str, float | None]:
    """Measure the unmasked Grad-CAM of the predicted class, at the output of the attention block.

    Args:
        model: a classifier of `wbc.nn.build_classifier`, or a model of its layers with the main output.
        sample: images to measure.
        batch_size: images per forward pass.

    Returns:
        Columns of the history. The first four are None if no image has a ratio.

        - `focus`, `focus_spread`: mean and standard deviation of the share of the map's energy on the cell.
        - `focus_coverage`: mean share of the frame that the cell covers, which is the ratio of a uniform map.
        - `focus_lift`: mean of (ratio - coverage) / (1 - coverage).
        - `focus_invalid`, `focus_empty`: share of the images without a cell, and of those with a map of zeros.
    """
    outputs = keras.Model(model.input, [model.get_layer(ATTENTION).output, model.output[MAIN]])
    measured, empty = [], 0
    for start in range(0, len(sample.images), batch_size):
        attended, logits = outputs(sample.images[start : start + batch_size], training=False)
        maps = keras.ops.convert_to_numpy(class_activation_maps(model, attended))
        predicted = keras.ops.convert_to_numpy(logits).argmax(axis=1)
        for position, label in enumerate(predicted):
            foreground = sample.foregrounds[start + position]
            height, width = foreground.cell.shape
            heatmap = cv2.resize(maps[position, label], (width, height), interpolation=cv2.INTER_LINEAR)
            empty += not heatmap.any()
            result = focus(heatmap, foreground)
            if result.valid:
                measured.append((result.ratio, result.coverage, result.lift))
    values: list[float | None] = [None] * 4
    if measured:
        ratios, coverages, lifts = np.array(measured, np.float64).T
        values = [float(v) for v in (ratios.mean(), ratios.std(), coverages.mean(), lifts.mean())]
    columns = dict(zip(("focus", "focus_spread", "focus_coverage", "focus_lift"), values, strict=True))
    count = len(sample.images)
    invalid = sum(not f.valid for f in sample.foregrounds)
    return {**columns, "focus_invalid": invalid / count, "focus_empty": empty / count}


class XAIFocusMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a phase if the class activation maps stay off the cell.

    Every `every` epochs it adds the columns of `check_focus` to the epoch's logs. It stops `fit` after `patience`
    checks in a row with a mean ratio below `threshold`. A check without a ratio (no cell found, or empty maps) is
    logged and ignored. Phases count separately: a new monitor continues the streak in `rows` only.

    A uniform map has the cell's coverage as its ratio, so a threshold below the coverage cannot fail; `focus_lift`
    measures how far the ratio is above the coverage.

    Args:
        sample: images to measure.
        every: epochs between two checks.
        threshold: lowest accepted mean ratio.
        patience: checks below the threshold after which `fit` stops.
        rows: earlier epochs of this phase, for a resumed run.
    """

    def __init__(
        self,
        sample: FocusSample,
        *,
        every: int,
        threshold: float,
        patience: int,
        rows: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.sample, self.every, self.threshold, self.patience = sample, every, threshold, patience
        self.streak = checks_below(rows or [], threshold)
        self.stopped: str | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if (epoch + 1) % self.every:
            return
        columns = check_focus(self.model, self.sample)
        if logs is not None:
            logs.update(columns)
        ratio = columns["focus"]
        if ratio is None:
            log.warning("focus: none of %d images has a ratio", len(self.sample.images))
            return
        self.streak = self.streak + 1 if ratio < self.threshold else 0
        if self.streak >= self.patience:
            self.stopped = f"focus ratio below {self.threshold:g} in {self.streak} checks in a row, last {ratio:.3f}"
            self.model.stop_training = True
