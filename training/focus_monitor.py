"""XAIFocusMonitor: does the network look at the cell? Asked on the validation split while it trains."""

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
from wbc.nn.classifier import ATTENTION
from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.pipeline import Preprocessor
from wbc.saliency.closed_form import class_activation_maps
from wbc.saliency.focus import focus

log = logging.getLogger("wbc.training")


@dataclass(frozen=True, slots=True)
class FocusSample:
    """Images that the monitor looks at, prepared, with the cell found in each.

    Attributes:
        images: uint8 (N, S, S, 3).
        foregrounds: of the frame that was prepared; a mask that is not valid gives no ratio.
    """

    images: NDArray[np.uint8]
    foregrounds: tuple[Foreground, ...]

    @classmethod
    def of(cls, split: Split, count: int, preprocessor: Preprocessor, size: int, cache: ImageCache) -> FocusSample:
        """`count` images of a split, the classes as even as they can be, evenly spaced within each."""
        present = np.unique(split.labels)
        quota = np.full(len(present), count // len(present)) + (np.arange(len(present)) < count % len(present))
        chosen: list[int] = []
        for index, wanted in zip(present, quota, strict=True):
            there = np.flatnonzero(split.labels == index)
            chosen += there[np.linspace(0, len(there) - 1, min(wanted, len(there))).astype(int)].tolist()
        prepared = [preprocessor(cache.decoded(split.paths[i])) for i in chosen]
        images = np.stack([resized(p.model_input, size) for p in prepared])
        return cls(images, tuple(p.foreground for p in prepared))


@dataclass(frozen=True, slots=True)
class FocusCheck:
    """What one look at the sample gave; the means are None where no image gave a ratio.

    Attributes:
        rho: mean share of the unmasked map's energy that lies on the cell.
        spread: its standard deviation over the images.
        coverage: mean share of the frame that the cell takes: what a uniform map scores.
        lift: mean of (rho - coverage) / (1 - coverage).
        invalid: share of the images in which no cell was found.
        empty: share of the images whose map is zero everywhere.
    """

    rho: float | None
    spread: float | None
    coverage: float | None
    lift: float | None
    invalid: float
    empty: float

    def columns(self) -> dict[str, float | None]:
        """As columns of the history."""
        return {
            "focus": self.rho,
            "focus_spread": self.spread,
            "focus_coverage": self.coverage,
            "focus_lift": self.lift,
            "focus_invalid": self.invalid,
            "focus_empty": self.empty,
        }


def check_focus(model: keras.Model, sample: FocusSample, batch_size: int = 32) -> FocusCheck:
    """Measure the unmasked Grad-CAM of the class that the model answers, at the attention block's output.

    Args:
        model: a classifier of `wbc.nn.build_classifier`, or a model of its layers with the main output.
        sample: what to look at.
        batch_size: images a forward pass.
    """
    looked_at = keras.Model(model.input, [model.get_layer(ATTENTION).output, model.output[MAIN]])
    found = []
    empty = 0
    for start in range(0, len(sample.images), batch_size):
        images = sample.images[start : start + batch_size]
        attended, logits = looked_at(images, training=False)
        maps = keras.ops.convert_to_numpy(class_activation_maps(model, attended))
        answers = keras.ops.convert_to_numpy(logits).argmax(axis=1)
        for position, answer in enumerate(answers):
            foreground = sample.foregrounds[start + position]
            height, width = foreground.cell.shape
            heatmap = cv2.resize(maps[position, answer], (width, height), interpolation=cv2.INTER_LINEAR)
            empty += not heatmap.any()
            measured = focus(heatmap, foreground)
            if measured.valid:
                found.append((measured.ratio, measured.coverage, measured.lift))
    count = len(sample.images)
    shares = {"invalid": sum(not f.valid for f in sample.foregrounds) / count, "empty": empty / count}
    if not found:
        return FocusCheck(None, None, None, None, **shares)
    ratios, coverages, lifts = np.array(found, np.float64).T
    return FocusCheck(float(ratios.mean()), float(ratios.std()), float(coverages.mean()), float(lifts.mean()), **shares)


class XAIFocusMonitor(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a phase in which the network keeps looking past the cell.

    Every `every` epochs it measures `check_focus` and puts the columns into the epoch's logs. After `patience` checks
    in a row with a mean ratio below `threshold` it stops `fit`. A check that gives no ratio (no cell found, or
    empty maps) is reported, and neither adds to the streak nor breaks it. The streak belongs to one phase: a new
    monitor starts at the streak of the `rows` it is given.

    A uniform map scores the cell's coverage, so a threshold below the coverage cannot fail; the lift says how far above
    it the ratio lies.

    Args:
        sample: what to look at.
        every: epochs between two checks.
        threshold: least mean ratio that is accepted.
        patience: checks below it after which `fit` stops.
        rows: epochs of this phase before this monitor, for a resumed run.
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
        columns = check_focus(self.model, self.sample).columns()
        if logs is not None:
            logs.update(columns)
        rho = columns["focus"]
        if rho is None:
            log.warning("focus: none of %d images gave a ratio", len(self.sample.images))
            return
        self.streak = self.streak + 1 if rho < self.threshold else 0
        if self.streak >= self.patience:
            self.stopped = f"focus ratio below {self.threshold:g} in {self.streak} checks in a row, last {rho:.3f}"
            self.model.stop_training = True
