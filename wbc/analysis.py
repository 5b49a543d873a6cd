"""Steps from one image to its analysis; `wbc.analyzer` runs them in this process, the service across processes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation import calibration, tta
from wbc.adaptation.familiarity import Familiarity
from wbc.adaptation.image_quality import ImageQuality, image_quality
from wbc.adaptation.review import Measures, ReviewReason, reasons
from wbc.adaptation.routing import LabelSet, route
from wbc.bundle import Bundle
from wbc.explain.facts import Facts
from wbc.images import decode
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.preprocessing.morphometry import measure_shape
from wbc.preprocessing.pipeline import Prepared, Preprocessor
from wbc.saliency.focus import Focus, focus
from wbc.saliency.overlay import heatmap


@dataclass(frozen=True, slots=True)
class Analysis:
    """Result for one image.

    Attributes:
        label: the predicted class.
        confidence: its calibrated probability, 0 to 1.
        probabilities: float64 (5,), calibrated, in the order of `labels.CLASSES`.
        runner_up: the second most probable class.
        review: reasons for a review by a person; empty if there are none.
        heatmap: float32 (S, S) in [0, 1], activation map of the predicted class, not masked.
        focus: share of the map on the cell.
        prepared: framed picture, network input and detected cell.
        embedding: float32 (C,), pooled features of the unaltered view.
        timings_ms: wall time of each stage.
        aux_logit: of the auxiliary head, mean over the views; positive for a neutrophil against a lymphocyte.
        views: number of views that were averaged.
        quality: of the framed picture; None where it was not measured.
        distance: of the embedding from the training images; None where the bundle has no statistics for it.
        temperature: by which the logits were divided.
        label_set: the label set that the caller declared, if one.
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
    aux_logit: float = 0.0
    views: int = 1
    quality: ImageQuality | None = None
    distance: float | None = None
    temperature: float = 1.0
    label_set: LabelSet | None = None

    def probability(self, label: str) -> float:
        """Return the calibrated probability of a class."""
        return float(self.probabilities[CLASSES.index(label)])

    def facts(self) -> Facts:
        """Return the facts that a report on this image may state."""
        return Facts(
            label=self.label,
            confidence=self.confidence,
            runner_up=self.runner_up,
            runner_up_probability=self.probability(self.runner_up),
            focus_ratio=self.focus.ratio,
            focus_coverage=self.focus.coverage,
            focus_lift=self.focus.lift,
            review_reasons=tuple(reason.code for reason in self.review),
            shape=measure_shape(self.prepared.foreground),
        )


class Pipeline:
    """All steps before and after the forward pass, built from a bundle; immutable and safe across threads."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        self.preprocessor = Preprocessor(bundle.manifest.preprocessing, ruler=bundle.manifest.cell_size is not None)
        self.familiarity = None if (path := bundle.familiarity_path) is None else Familiarity.load(path)

    def prepare(self, data: bytes) -> tuple[Prepared, dict[str, float]]:
        """Decode and prepare one image; return it with the wall time of both stages in milliseconds.

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
        """Return the views of the first forward pass, uint8 (V, S, S, 3)."""
        return tta.views(prepared.model_input, self.manifest.tta)

    def all_further_views(self, prepared: Prepared) -> NDArray[np.uint8]:
        """Return the seven views after the first, uint8 (7, S, S, 3)."""
        return tta.further_views(prepared.model_input)

    def further_views(self, prepared: Prepared, outputs: Outputs) -> NDArray[np.uint8] | None:
        """Return the views of a second forward pass, uint8 (7, S, S, 3): with `tta=auto` after an unsure first one.

        Their outputs are joined to the first (`inference.Outputs.joined`) before `conclude`.
        """
        return self.all_further_views(prepared) if self.unsure(outputs) else None

    def unsure(self, outputs: Outputs) -> bool:
        """Return true if adaptation is `auto` and the confidence of the first view is below its threshold."""
        if self.manifest.tta != "auto":
            return False
        first = calibration.probabilities(outputs.logits[0], self.manifest.temperature)
        return float(first.max()) < self.manifest.tta_auto_confidence

    def select(self, outputs: Outputs) -> Outputs:
        """Return the outputs of the views this pipeline uses, from those of a forward pass shared with others."""
        every = self.manifest.tta == "light" or self.unsure(outputs)
        return outputs.rows(slice(0, len(tta.LIGHT_VIEWS) if every else 1))

    def conclude(
        self,
        prepared: Prepared,
        outputs: Outputs,
        timings_ms: dict[str, float] | None = None,
        label_set: LabelSet | None = None,
    ) -> Analysis:
        """Compute the analysis of one image from the outputs for its views.

        Args:
            prepared: the prepared image.
            outputs: of its views, the unaltered one first.
            timings_ms: wall time of the stages so far.
            label_set: the classes that can occur, where the caller declared them.
        """
        start = time.perf_counter()
        views, aux_logit = len(outputs.logits), float(outputs.aux_logit.mean())
        distance = None if self.familiarity is None else self.familiarity.distance(outputs.embedding[0])
        limit = self.manifest.review.max_distance
        foreign = distance is not None and limit is not None and distance > limit
        temperature = self.manifest.temperature_of(views, foreign=foreign)
        logits: NDArray[np.floating] = tta.average(outputs.logits)
        if self.manifest.cell_size is not None:
            logits = logits + self.manifest.cell_size.shift(prepared.diameter_in_red_cells)
        probabilities = calibration.probabilities(logits, temperature)
        if label_set is not None:
            probabilities = route(probabilities, aux_logit, label_set)
        order = np.argsort(-probabilities, kind="stable")
        confidence = float(probabilities[order[0]])
        # Map of the unaltered view, because the others are rotated or mirrored.
        heat = heatmap(outputs.cam[0, order[0]], prepared.display.shape[0])
        found, quality = prepared.foreground, image_quality(prepared.display)
        attention = focus(heat, found)
        measured = Measures(
            confidence, quality, found.candidates, "" if found.valid else found.reason, distance, attention.lift
        )
        analysis = Analysis(
            label=CLASSES[order[0]],
            confidence=confidence,
            probabilities=probabilities,
            runner_up=CLASSES[order[1]],
            review=reasons(measured, self.manifest.review),
            heatmap=heat,
            focus=attention,
            prepared=prepared,
            embedding=outputs.embedding[0],
            timings_ms=dict(timings_ms or {}),
            aux_logit=aux_logit,
            views=views,
            quality=quality,
            distance=distance,
            temperature=temperature,
            label_set=label_set,
        )
        analysis.timings_ms["heatmap"] = (time.perf_counter() - start) * 1e3
        return analysis

    def analyze(
        self, data: bytes, classifier: Callable[[NDArray[np.uint8]], Outputs], label_set: LabelSet | None = None
    ) -> Analysis:
        """Analyze the bytes of one image with a forward pass in this process."""
        prepared, timings = self.prepare(data)
        start = time.perf_counter()
        outputs = classifier(self.views(prepared))
        if (further := self.further_views(prepared, outputs)) is not None:
            outputs = Outputs.joined(outputs, classifier(further))
        timings["forward"] = (time.perf_counter() - start) * 1e3
        return self.conclude(prepared, outputs, timings, label_set)
