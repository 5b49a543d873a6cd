"""Full batches give what one image at a time gives, whatever the views."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.asking import Entrant, answer
from tests.evaluation.toy import LEVEL, STEP, picture, sure
from wbc.adaptation import tta
from wbc.adaptation.calibration import probabilities
from wbc.adaptation.routing import BINARY, LabelSet
from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.data.dataset import read_split
from wbc.images import encode_png
from wbc.inference import OnnxClassifier, Outputs
from wbc.labels import CLASSES


class Counting:
    """The forward pass, and how many views it was given at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.inner = OnnxClassifier(bundle.onnx_path)
        self.batches: list[int] = []

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        self.batches.append(len(views))
        return self.inner(views)


def with_tta(bundle: Bundle, mode: tta.Mode, **fields: object) -> Pipeline:
    """The served path with other views."""
    return Pipeline(replace(bundle, manifest=bundle.manifest.model_copy(update={"tta": mode, **fields})))


@pytest.mark.parametrize("batch_size", [1, 3, 32])
@pytest.mark.parametrize("mode", ["none", "light", "auto"])
def test_batches_give_what_single_images_give(
    toy_bundle: Bundle, toy_data: Path, mode: tta.Mode, batch_size: int
) -> None:
    pipeline, classifier = with_tta(toy_bundle, mode, tta_temperature=0.7), OnnxClassifier(toy_bundle.onnx_path)
    found = answer({"": Entrant(pipeline)}, classifier, read_split(toy_data, "TestA"), batch_size=batch_size)[""]
    for row, path in enumerate(found.split.paths):
        alone = pipeline.analyze(path.read_bytes(), classifier)
        assert found.probabilities[row] == pytest.approx(alone.probabilities, abs=1e-6)
        assert found.views[row] == alone.views
        assert found.reasons[row] == tuple(reason.code for reason in alone.review)


def test_auto_takes_more_views_of_the_unsure_alone(toy_bundle: Bundle, toy_data: Path) -> None:
    counting = Counting(toy_bundle)
    split = read_split(toy_data, "TestA")
    found = answer({"": Entrant(with_tta(toy_bundle, "auto"))}, counting, split, batch_size=64)[""]
    unsure = probabilities(found.logits).max(axis=1) < 0.9
    assert unsure.sum() == 5
    assert (found.views == np.where(unsure, 8, 1)).all()
    assert counting.batches == [12, 5 * 7]


def test_entrants_that_share_views_answer_as_each_would_alone(toy_bundle: Bundle, toy_data: Path) -> None:
    split = read_split(toy_data, "TestB-other")
    entrants = {
        "none": Entrant(with_tta(toy_bundle, "none")),
        "auto": Entrant(with_tta(toy_bundle, "auto")),
        "light": Entrant(with_tta(toy_bundle, "light")),
        "declared": Entrant(with_tta(toy_bundle, "none"), LabelSet(BINARY, "aux")),
    }
    counting = Counting(toy_bundle)
    together = answer(entrants, counting, split)
    assert sum(counting.batches) == 8 * len(split.paths)
    for name, entrant in entrants.items():
        alone = answer({name: entrant}, OnnxClassifier(toy_bundle.onnx_path), split)[name]
        assert together[name].probabilities == pytest.approx(alone.probabilities, abs=1e-6)
        assert (together[name].views == alone.views).all()


def test_entrants_with_different_preprocessing_do_not_answer_together(toy_bundle: Bundle, toy_data: Path) -> None:
    other = toy_bundle.manifest.preprocessing.model_copy(update={"variant": "v1"})
    changed = replace(toy_bundle, manifest=toy_bundle.manifest.model_copy(update={"preprocessing": other}))
    with pytest.raises(ValueError, match="have one preprocessing"):
        answer(
            {"a": Entrant(Pipeline(toy_bundle)), "b": Entrant(Pipeline(changed))},
            OnnxClassifier(toy_bundle.onnx_path),
            read_split(toy_data, "TestA"),
        )


def test_light_views_are_averaged_as_logits(toy_bundle: Bundle) -> None:
    """The two brightness views are the only ones that change the rings; what they read is computed here by hand."""
    levels = np.array([LEVEL + value / STEP for value in sure("Monocyte", 6.0)])
    read = [levels] * 6 + [np.minimum(255, np.rint(levels * 1.1)), np.rint(levels * 0.9)]
    logits = ((np.array(read) - LEVEL) * STEP).mean(axis=0)
    analysis = with_tta(toy_bundle, "light").analyze(
        encode_png(picture(sure("Monocyte", 6.0))), OnnxClassifier(toy_bundle.onnx_path)
    )
    assert analysis.probabilities == pytest.approx(probabilities(logits), abs=1e-3)
    assert analysis.label == CLASSES[3]
