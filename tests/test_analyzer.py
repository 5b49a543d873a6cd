"""`Analyzer`: batches of several images and settings, and images that fail separately."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.evaluation.toy import picture, sure, write_toy_bundle
from wbc.analysis import Analysis, Pipeline
from wbc.analyzer import Analyzer, Forwarded
from wbc.bundle import Bundle
from wbc.errors import BundleMissing, DeviceUnavailable, ModelError, UnreadableFile, UnsupportedFormat, WBCError
from wbc.images import encode_png
from wbc.inference import OnnxClassifier, Outputs
from wbc.labels import CLASSES
from wbc.settings import Settings


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Toy bundle with adaptation `auto`: images of low confidence get eight views."""
    return write_toy_bundle(tmp_path_factory.mktemp("toy") / "bundle", tta="auto", tta_auto_confidence=0.9)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Ten images, every third of low confidence, and after the fourth a missing and a damaged file."""
    folder = tmp_path_factory.mktemp("cells")
    paths = []
    for number in range(10):
        path = folder / f"{number}.png"
        path.write_bytes(encode_png(picture(sure(CLASSES[number % 5], 1.0 if number % 3 == 0 else 8.0))))
        paths.append(path)
    (folder / "damaged.png").write_bytes(b"no image")
    return [*paths[:4], folder / "missing.png", folder / "damaged.png", *paths[4:]]


class Recording:
    """A classifier that records the size of each batch and fails on batches that `refuses` accepts."""

    def __init__(self, inner: Callable[[NDArray[np.uint8]], Outputs], refuses: Callable[[Any], bool]) -> None:
        self.inner, self.refuses, self.sizes = inner, refuses, list[int]()

    def __call__(self, views: NDArray[np.uint8]) -> Outputs:
        self.sizes.append(len(views))
        if self.refuses(views):
            raise ModelError("refused")
        return self.inner(views)


def test_many_equal_one(bundle: Bundle, files: list[Path]) -> None:
    analyzer = Analyzer.load(bundle)
    found = list(analyzer.analyze_many(files, batch_size=4, workers=2))
    assert [path for path, _ in found] == files
    for path, analysis in found:
        if isinstance(analysis, WBCError):
            continue
        alone = analyzer.analyze(path.read_bytes())
        assert (analysis.label, analysis.views) == (alone.label, alone.views)
        np.testing.assert_allclose(analysis.probabilities, alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(analysis.heatmap, alone.heatmap, atol=1e-6)
    assert {analysis.views for _, analysis in found if isinstance(analysis, Analysis)} == {1, 8}


def test_errors_belong_to_their_file(bundle: Bundle, files: list[Path]) -> None:
    found = dict(Analyzer.load(bundle).analyze_many(files))
    failed = {path.name: type(error) for path, error in found.items() if isinstance(error, WBCError)}
    assert failed == {"missing.png": UnreadableFile, "damaged.png": UnsupportedFormat}


def test_images_share_batches(bundle: Bundle, files: list[Path]) -> None:
    recording = Recording(OnnxClassifier.of(bundle), lambda _: False)
    list(Analyzer(bundle, recording).analyze_many(files[:4], batch_size=4))
    assert recording.sizes == [4, 4, 4, 4, 2]  # four first views, then seven further ones of two unsure pictures


def test_model_error_is_isolated(bundle: Bundle, files: list[Path]) -> None:
    culprit = Pipeline(bundle).prepare(files[1].read_bytes())[0].model_input
    recording = Recording(OnnxClassifier.of(bundle), lambda views: any(np.array_equal(v, culprit) for v in views))
    found = list(Analyzer(bundle, recording).analyze_many(files[:4], batch_size=4))
    assert [isinstance(analysis, ModelError) for _, analysis in found] == [False, True, False, False]


def test_bytes_pictures_and_files(bundle: Bundle, files: list[Path]) -> None:
    analyzer, rgb = Analyzer.load(bundle), picture(sure("Monocyte"))
    data = encode_png(rgb)
    outputs = [found for _, found in analyzer.forward_many([data, rgb])]
    first, second = outputs
    assert isinstance(first, Forwarded)
    assert isinstance(second, Forwarded)
    np.testing.assert_array_equal(first.outputs.logits, second.outputs.logits)
    assert (first.sha256, second.sha256) == (hashlib.sha256(data).hexdigest(), "")


def test_pipelines_share_a_forward_pass(bundle: Bundle, files: list[Path]) -> None:
    pipelines = {mode: Pipeline(bundle.with_tta(mode)) for mode in ("none", "auto", "light")}  # type: ignore[arg-type]
    analyzer = Analyzer.load(bundle)
    for path, found in analyzer.forward_many(files[:4], pipelines=list(pipelines.values())):
        assert isinstance(found, Forwarded)
        for pipeline in pipelines.values():
            shared = pipeline.conclude(found.prepared, pipeline.select(found.outputs))
            alone = Analyzer(bundle, analyzer.classifier, pipeline).analyze(path.read_bytes())
            assert shared.views == alone.views
            np.testing.assert_allclose(shared.probabilities, alone.probabilities, atol=1e-6)


def test_pipelines_need_the_same_preprocessing(bundle: Bundle) -> None:
    spec = bundle.manifest.preprocessing.model_copy(update={"variant": "v1"})
    other = Pipeline(replace(bundle, manifest=bundle.manifest.model_copy(update={"preprocessing": spec})))
    analyzer = Analyzer.load(bundle)
    with pytest.raises(ValueError, match="same preprocessing"):
        next(analyzer.forward_many([], pipelines=[analyzer.pipeline, other]))


def test_settings_are_honoured(bundle: Bundle) -> None:
    assert Analyzer.load(settings=Settings(bundle=bundle.path, tta="light")).pipeline.manifest.tta == "light"
    assert Analyzer.load(bundle.path).pipeline.manifest.tta == "auto"
    with pytest.raises(BundleMissing):
        Analyzer.load(bundle, Settings(graph="int8"))
    with pytest.raises(DeviceUnavailable):
        Analyzer.load(bundle, Settings(graph="int8", device="cuda"))
