"""Batches give the same predictions as single images, with every test-time augmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.predictions import ARRAYS, Configuration, Predictions, predict, predict_one
from tests.evaluation.toy import LEVEL, STEP, picture, sure
from wbc.adaptation import tta
from wbc.adaptation.calibration import probabilities
from wbc.adaptation.routing import BINARY, LabelSet
from wbc.analysis import Pipeline
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.data.dataset import read_split
from wbc.errors import ModelError
from wbc.images import encode_png
from wbc.inference import OnnxClassifier, Outputs
from wbc.labels import CLASSES


class CountingClassifier:
    """A forward pass that records the size of each batch."""

    def __init__(self, bundle: Bundle) -> None:
        self.inner = OnnxClassifier(bundle.onnx_path)
        self.batches: list[int] = []

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        self.batches.append(len(views))
        return self.inner(views)


def with_tta(bundle: Bundle, mode: tta.Mode, **fields: object) -> Pipeline:
    return Pipeline(replace(bundle, manifest=bundle.manifest.model_copy(update={"tta": mode, **fields})))


@pytest.fixture
def analyzer(toy_bundle: Bundle) -> Analyzer:
    return Analyzer(toy_bundle, OnnxClassifier(toy_bundle.onnx_path))


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("mode", ["none", "light", "auto"])
def test_batches_equal_single_images(analyzer: Analyzer, toy_data: Path, mode: tta.Mode, batch_size: int) -> None:
    pipeline = with_tta(analyzer.bundle, mode, tta_temperature=0.7)
    found = predict_one(analyzer, read_split(toy_data, "TestA"), pipeline=pipeline, batch_size=batch_size)
    for row, path in enumerate(found.split.paths):
        alone = pipeline.analyze(path.read_bytes(), analyzer.classifier)
        assert found.probabilities[row] == pytest.approx(alone.probabilities, abs=1e-6)
        assert found.views[row] == alone.views
        assert found.reasons[row] == tuple(reason.code for reason in alone.review)


def test_auto_adds_views_only_to_unsure_images(toy_bundle: Bundle, toy_data: Path) -> None:
    counting = CountingClassifier(toy_bundle)
    analyzer = Analyzer(toy_bundle.with_tta("auto"), counting)
    found = predict_one(analyzer, read_split(toy_data, "TestA"), batch_size=64)
    unsure = probabilities(found.logits).max(axis=1) < 0.9
    assert unsure.sum() == 5
    assert (found.views == np.where(unsure, 8, 1)).all()
    assert counting.batches == [12, 5 * 7]


def test_configurations_that_share_views_equal_each_alone(analyzer: Analyzer, toy_data: Path) -> None:
    split = read_split(toy_data, "TestB-other")
    bundle = analyzer.bundle
    configurations = {
        "none": Configuration(with_tta(bundle, "none")),
        "auto": Configuration(with_tta(bundle, "auto")),
        "light": Configuration(with_tta(bundle, "light")),
        "declared": Configuration(with_tta(bundle, "none"), LabelSet(BINARY, "aux")),
    }
    counting = CountingClassifier(bundle)
    together = predict(Analyzer(bundle, counting), split, configurations)
    assert sum(counting.batches) == 8 * len(split.paths)
    for name, configuration in configurations.items():
        alone = predict(analyzer, split, {name: configuration})[name]
        assert together[name].probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert (together[name].views == alone.views).all()


def test_a_failed_forward_pass_is_raised(toy_bundle: Bundle, toy_data: Path) -> None:
    def fail(_: NDArray[np.uint8]) -> Outputs:
        raise ModelError("failed")

    with pytest.raises(ModelError, match="failed"):
        predict_one(Analyzer(toy_bundle, fail), read_split(toy_data, "TestA"))


def test_some_and_joined_predictions(analyzer: Analyzer, toy_data: Path) -> None:
    found = predict_one(analyzer, read_split(toy_data, "TestA"))
    joined = Predictions.joined("both", [found.only(found.correct), found.only(~found.correct)])
    assert joined.split.name == "both"
    assert len(joined.labels) == len(joined.reasons) == len(found.labels)
    assert joined.correct.sum() == found.correct.sum()
    assert all(len(getattr(joined, name)) == len(found.labels) for name in ARRAYS)


def test_light_views_are_averaged_as_logits(toy_bundle: Bundle) -> None:
    """Only the two brightness views change the rings; the expected values are computed here."""
    levels = np.array([LEVEL + value / STEP for value in sure("Monocyte", 6.0)])
    read = [levels] * 6 + [np.minimum(255, np.rint(levels * 1.1)), np.rint(levels * 0.9)]
    logits = ((np.array(read) - LEVEL) * STEP).mean(axis=0)
    analysis = with_tta(toy_bundle, "light").analyze(
        encode_png(picture(sure("Monocyte", 6.0))), OnnxClassifier(toy_bundle.onnx_path)
    )
    assert analysis.probabilities == pytest.approx(probabilities(logits), abs=1e-3)
    assert analysis.label == CLASSES[3]
