"""One image to one analysis: the path that service, evaluation and benchmarks take."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.drawn import drawn_cell
from wbc.adaptation.calibration import probabilities
from wbc.adaptation.review import ReviewThresholds
from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.errors import MalformedImage, UnsupportedFormat
from wbc.images import encode_png
from wbc.inference import OnnxClassifier, Outputs
from wbc.labels import CLASSES
from wbc.saliency.focus import focus
from wbc.saliency.overlay import heatmap
from wbc.schemas import ModelInfo, PredictionAnswer

UNFLAGGED = ReviewThresholds(min_confidence=0.0, min_focus_lift=None)
"""Limits that flag nothing by the measures that every image has; the focus of a tiny model is random."""


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.load(tiny_bundle)


@pytest.fixture(scope="module")
def pipeline(bundle: Bundle) -> Pipeline:
    return Pipeline(bundle)


@pytest.fixture(scope="module")
def cell() -> bytes:
    return encode_png(drawn_cell("Neutrophil", np.random.default_rng(7)))


@pytest.fixture(scope="module")
def blank() -> bytes:
    return encode_png(np.full((224, 224, 3), (240, 230, 226), np.uint8))


def changed(bundle: Bundle, **fields: Any) -> Pipeline:
    """The pipeline of a bundle with other settings in its manifest."""
    return Pipeline(replace(bundle, manifest=bundle.manifest.model_copy(update=fields)))


class Counting:
    """Classifier with made-up outputs that records the number of views of each call."""

    def __init__(self, classifier: OnnxClassifier, logits: NDArray[np.float32] | None = None) -> None:
        self.classifier, self.logits = classifier, logits
        self.asked: list[int] = []

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        outputs = self.classifier(views)
        start = sum(self.asked)
        self.asked.append(len(views))
        return outputs if self.logits is None else replace(outputs, logits=self.logits[start : start + len(views)])


class TestAnswer:
    def test_probabilities(self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        analysis = pipeline.analyze(cell, tiny_classifier)
        assert analysis.probabilities.shape == (5,)
        assert analysis.probabilities.dtype == np.float64
        assert analysis.probabilities.sum() == pytest.approx(1, abs=1e-12)
        assert (analysis.probabilities >= 0).all()
        order = np.argsort(-analysis.probabilities)
        assert (analysis.label, analysis.runner_up) == (CLASSES[order[0]], CLASSES[order[1]])
        assert analysis.confidence == analysis.probabilities.max() == analysis.probability(analysis.label)

    def test_temperature_is_applied(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        cold, hot = (changed(bundle, temperature=t).analyze(cell, tiny_classifier) for t in (1.0, 3.0))
        logits = tiny_classifier(cold.prepared.model_input[None]).logits[0]
        np.testing.assert_allclose(cold.probabilities, probabilities(logits, 1.0), rtol=1e-5)
        np.testing.assert_allclose(hot.probabilities, probabilities(logits, 3.0), rtol=1e-5)
        assert hot.confidence < cold.confidence
        assert hot.label == cold.label

    def test_same_bytes_same_answer(self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        first, second = (pipeline.analyze(cell, tiny_classifier) for _ in range(2))
        np.testing.assert_array_equal(first.probabilities, second.probabilities)
        np.testing.assert_array_equal(first.heatmap, second.heatmap)
        assert (first.focus, first.review) == (second.focus, second.review)

    def test_from_many_threads(self, pipeline: Pipeline, tiny_classifier: OnnxClassifier) -> None:
        cells = [encode_png(drawn_cell(label, np.random.default_rng(3))) for label in CLASSES]
        alone = [pipeline.analyze(data, tiny_classifier).probabilities for data in cells]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda data: pipeline.analyze(data, tiny_classifier).probabilities, cells * 2))
        for expected, found in zip(alone * 2, together, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)

    def test_steps_of_a_service_give_the_same(
        self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        """Prepared in one process, classified in another, concluded in the first."""
        prepared, timings = pipeline.prepare(cell)
        rows = tiny_classifier(pipeline.views(prepared)).packed()
        outputs = Outputs.unpacked(rows, tiny_classifier.embedding_size, tiny_classifier.grid)
        there, here = pipeline.conclude(prepared, outputs, timings), pipeline.analyze(cell, tiny_classifier)
        np.testing.assert_allclose(there.probabilities, here.probabilities, rtol=1e-6)
        np.testing.assert_allclose(there.heatmap, here.heatmap, atol=1e-6)
        assert set(there.timings_ms) >= {"decode", "prepare", "heatmap"}
        assert set(here.timings_ms) == set(there.timings_ms) | {"forward"}
        assert all(milliseconds >= 0 for milliseconds in here.timings_ms.values())

    def test_tiny_model_has_learnt_the_drawn_cells(self, pipeline: Pipeline, tiny_classifier: OnnxClassifier) -> None:
        rng = np.random.default_rng(500)
        shown = [label for label in CLASSES for _ in range(4)]
        said = [pipeline.analyze(encode_png(drawn_cell(label, rng)), tiny_classifier).label for label in shown]
        assert sum(a == b for a, b in zip(shown, said, strict=True)) >= 16

    @pytest.mark.parametrize(("data", "error"), [(b"words", UnsupportedFormat), (b"\xff\xd8\xff\xe0", MalformedImage)])
    def test_bytes_that_are_no_image(
        self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, data: bytes, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            pipeline.analyze(data, tiny_classifier)


class TestMap:
    def test_is_that_of_the_predicted_class(
        self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        analysis = pipeline.analyze(cell, tiny_classifier)
        cam = tiny_classifier(analysis.prepared.model_input[None]).cam[0, CLASSES.index(analysis.label)]
        np.testing.assert_allclose(analysis.heatmap, heatmap(cam, 224), atol=1e-4)
        assert analysis.heatmap.dtype == np.float32
        assert 0 <= analysis.heatmap.min() <= analysis.heatmap.max() <= 1

    def test_focus_is_measured_on_the_unmasked_map(
        self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        analysis = pipeline.analyze(cell, tiny_classifier)
        assert analysis.prepared.foreground.valid
        assert analysis.heatmap[~analysis.prepared.foreground.cell].max() > 0
        assert analysis.focus == focus(analysis.heatmap, analysis.prepared.foreground)
        assert analysis.focus.ratio is not None
        assert 0 < analysis.focus.ratio < 1  # cut to the cell it would be 1
        assert analysis.focus.coverage == analysis.prepared.foreground.coverage

    def test_facts_repeat_the_analysis(self, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        analysis = pipeline.analyze(cell, tiny_classifier)
        facts = analysis.facts()
        assert (facts.label, facts.confidence) == (analysis.label, analysis.confidence)
        assert facts.runner_up_probability == analysis.probability(analysis.runner_up)
        assert (facts.focus_ratio, facts.focus_lift) == (analysis.focus.ratio, analysis.focus.lift)
        assert facts.review_reasons == tuple(reason.code for reason in analysis.review)
        assert facts.shape is not None


class TestReview:
    def test_nothing_speaks_for_it(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        assert changed(bundle, review=UNFLAGGED).analyze(cell, tiny_classifier).review == ()

    def test_low_confidence(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        pipeline = changed(bundle, temperature=20.0, review=UNFLAGGED.model_copy(update={"min_confidence": 0.9}))
        (reason,) = pipeline.analyze(cell, tiny_classifier).review
        assert reason.code == "low_confidence"
        assert "is below 90.0%" in reason.text

    def test_threshold_itself_is_enough(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        confidence = changed(bundle, review=UNFLAGGED).analyze(cell, tiny_classifier).confidence
        at = changed(bundle, review=UNFLAGGED.model_copy(update={"min_confidence": confidence}))
        assert at.analyze(cell, tiny_classifier).review == ()

    def test_no_cell_in_the_picture(self, bundle: Bundle, tiny_classifier: OnnxClassifier, blank: bytes) -> None:
        analysis = changed(bundle, review=UNFLAGGED).analyze(blank, tiny_classifier)
        (reason,) = analysis.review
        assert reason.code == "poor_image"
        assert reason.text.startswith("No cell could be outlined: no nucleus found")
        assert not analysis.focus.valid
        assert analysis.facts().shape is None

    def test_several_at_once(self, bundle: Bundle, tiny_classifier: OnnxClassifier, blank: bytes) -> None:
        pipeline = changed(bundle, temperature=20.0, review=ReviewThresholds(min_confidence=0.99))
        codes = [reason.code for reason in pipeline.analyze(blank, tiny_classifier).review]
        assert codes == ["low_confidence", "poor_image"]


class TestViews:
    def test_one_view(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        counting = Counting(tiny_classifier)
        changed(bundle, tta="none").analyze(cell, counting)
        assert counting.asked == [1]

    def test_light_gives_eight_and_averages_their_logits(
        self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        pipeline = changed(bundle, tta="light", temperature=1.0, tta_temperature=None)
        prepared, _ = pipeline.prepare(cell)
        views = pipeline.views(prepared)
        assert views.shape == (8, 224, 224, 3)
        np.testing.assert_array_equal(views[0], prepared.model_input)
        counting = Counting(tiny_classifier)
        analysis = pipeline.analyze(cell, counting)
        assert counting.asked == [8]
        expected = probabilities(tiny_classifier(views).logits.mean(axis=0))
        np.testing.assert_allclose(analysis.probabilities, expected, rtol=1e-5)

    def test_light_averages_made_up_logits(self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes) -> None:
        logits = np.zeros((8, 5), np.float32)
        logits[0, 0], logits[1:, 3] = 4, 2  # the first view says one thing, the seven others another
        pipeline = changed(bundle, tta="light", temperature=1.0, tta_temperature=None)
        analysis = pipeline.analyze(cell, Counting(tiny_classifier, logits))
        assert analysis.label == CLASSES[3]
        assert analysis.runner_up == CLASSES[0]
        expected = np.exp([0.5, 0, 0, 1.75, 0]) / np.exp([0.5, 0, 0, 1.75, 0]).sum()
        np.testing.assert_allclose(analysis.probabilities, expected, rtol=1e-6)

    def test_map_is_that_of_the_unaltered_view(
        self, bundle: Bundle, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        analysis = changed(bundle, tta="light").analyze(cell, tiny_classifier)
        cam = tiny_classifier(analysis.prepared.model_input[None]).cam[0, CLASSES.index(analysis.label)]
        np.testing.assert_allclose(analysis.heatmap, heatmap(cam, 224), atol=1e-4)


class TestWire:
    def test_answer_of_an_analysis(
        self, bundle: Bundle, pipeline: Pipeline, tiny_classifier: OnnxClassifier, cell: bytes
    ) -> None:
        analysis = pipeline.analyze(cell, tiny_classifier)
        body = PredictionAnswer.of(analysis, ModelInfo.of(bundle), "id-1").model_dump(mode="json", by_alias=True)
        assert body["class"] == analysis.label
        assert list(body["all_probabilities"]) == list(CLASSES)
        assert sum(body["all_probabilities"].values()) == pytest.approx(1)
        assert body["runner_up"]["class"] == analysis.runner_up
        assert body["review"]["needed"] == bool(analysis.review)
        assert body["focus"]["ratio"] == analysis.focus.ratio
        assert body["model"]["bundle_sha256"] == bundle.sha256
        assert body["llm_report"] is None
        assert body["request_id"] == "id-1"

    def test_picture_without_a_cell_has_no_focus(
        self, bundle: Bundle, pipeline: Pipeline, tiny_classifier: OnnxClassifier, blank: bytes
    ) -> None:
        answer = PredictionAnswer.of(pipeline.analyze(blank, tiny_classifier), ModelInfo.of(bundle), "id-2")
        assert answer.model_dump(mode="json")["focus"] == {
            "valid": False,
            "ratio": None,
            "coverage": None,
            "lift": None,
        }
        assert answer.review.needed
