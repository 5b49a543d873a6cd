"""One image to one analysis: the single path that service, evaluation and benchmarks all take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation import calibration, tta
from wbc.adaptation.review import ReviewReason
from wbc.bundle import Bundle
from wbc.explain.facts import Facts, shape_of
from wbc.images import decode
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Prepared, Preprocessor
from wbc.saliency.focus import Focus, focus
from wbc.saliency.overlay import heatmap


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known of one image.

    Attributes:
        label: the predicted class.
        confidence: its calibrated probability, 0 to 1.
        probabilities: float64 (5,), calibrated, in the order of `labels.CLASSES`.
        runner_up: the second most probable class.
        review: why a person has to look; empty where nothing speaks for it.
        heatmap: float32 (S, S) in [0, 1], the predicted class' activation map, not masked.
        focus: how much of the map lies on the cell.
        prepared: the framed picture, the network's input and the found cell.
        embedding: float32 (C,), the pooled features of the unaltered view.
        timings_ms: wall time of each stage.
    """

    label: str
    confidence: float
    probabilities: NDArray[np.float64]
    runner_up: str
    review: tuple[ReviewReason, ...]
    heatmap: NDArray[np.float32]
    focus: Focus
    prepared: Prepared
    embedding: NDArray[np.float32]
    timings_ms: dict[str, float] = field(default_factory=dict)

    def probability(self, label: str) -> float:
        """Calibrated probability of a class."""
        return float(self.probabilities[CLASSES.index(label)])

    def facts(self) -> Facts:
        """What a report on this image may speak of."""
        return Facts(
            label=self.label,
            confidence=self.confidence,
            runner_up=self.runner_up,
            runner_up_probability=self.probability(self.runner_up),
            focus_ratio=self.focus.ratio,
            focus_coverage=self.focus.coverage,
            focus_lift=self.focus.lift,
            review_reasons=tuple(reason.code for reason in self.review),
            shape=shape_of(self.prepared.foreground),
        )


class Pipeline:
    """Everything around the forward pass, built from a bundle; stateless after construction, safe across threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        self.preprocessor = Preprocessor(bundle.manifest.preprocessing)

    def prepare(self, data: bytes) -> tuple[Prepared, dict[str, float]]:
        """Decode and prepare one image; with it the wall time of both stages in milliseconds.

        Raises:
            UnsupportedFormat, MalformedImage, ImageTooLarge: see `images.decode`.
        """
        start = time.perf_counter()
        rgb = decode(data)
        decoded = time.perf_counter()
        prepared = self.preprocessor(rgb)
        done = time.perf_counter()
        return prepared, {"decode": (decoded - start) * 1e3, "prepare": (done - decoded) * 1e3}

    def views(self, prepared: Prepared) -> NDArray[np.uint8]:
        """The batch rows of one image, uint8 (V, S, S, 3)."""
        return tta.views(prepared.model_input, self.manifest.tta)

    def conclude(self, prepared: Prepared, outputs: Outputs, timings_ms: dict[str, float] | None = None) -> Analysis:
        """The analysis of one image from the graph's outputs for its views."""
        start = time.perf_counter()
        probabilities = calibration.probabilities(tta.average(outputs.logits), self.manifest.temperature)
        order = np.argsort(-probabilities, kind="stable")
        confidence = float(probabilities[order[0]])
        # The map of the unaltered view: the others are turned.
        heat = heatmap(outputs.cam[0, order[0]], prepared.display.shape[0])
        measured = focus(heat, prepared.foreground)
        timings = {**(timings_ms or {}), "heatmap": (time.perf_counter() - start) * 1e3}
        return Analysis(
            label=CLASSES[order[0]],
            confidence=confidence,
            probabilities=probabilities,
            runner_up=CLASSES[order[1]],
            review=self._review(confidence, prepared),
            heatmap=heat,
            focus=measured,
            prepared=prepared,
            embedding=outputs.embedding[0],
            timings_ms=timings,
        )

    def analyze(self, data: bytes, classifier: Callable[[NDArray[np.uint8]], Outputs]) -> Analysis:
        """One image's bytes to its analysis, in this process."""
        prepared, timings = self.prepare(data)
        views = self.views(prepared)
        start = time.perf_counter()
        outputs = classifier(views)
        timings["forward"] = (time.perf_counter() - start) * 1e3
        return self.conclude(prepared, outputs, timings)

    def _review(self, confidence: float, prepared: Prepared) -> tuple[ReviewReason, ...]:
        reasons = []
        least = self.manifest.review.min_confidence
        if confidence < least:
            text = f"Confidence {confidence:.1%} is below {least:.1%}, under which the model errs too often."
            reasons.append(ReviewReason(code="low_confidence", text=text))
        if not prepared.foreground.valid:
            text = f"No cell could be outlined: {prepared.foreground.reason}."
            reasons.append(ReviewReason(code="poor_image", text=text))
        return tuple(reasons)
