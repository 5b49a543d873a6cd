"""The engine of the entry, with the models in this process instead of in services."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.drawn import drawn_cell
from wbc.analyzer import Analyzer
from wbc.bundle import Bundle
from wbc.errors import InvalidParameter, NotReady
from wbc.explain.explainer import Explainer
from wbc.http import PredictOptions
from wbc.http.metrics import ClassifierMetrics, EntryMetrics
from wbc.images import encode_png
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES
from wbc.schemas import PredictionAnswer
from wbc.serving.classifier import ServedClassifier
from wbc.serving.engine import DEAD_AFTER_S, ServiceEngine
from wbc.serving.sibling import Sibling
from wbc.settings import Settings


class Local(Sibling):
    """A sibling in this process.

    Attributes:
        ready: reported readiness.
    """

    def __init__(self, **methods: Any) -> None:
        super().__init__("local", lambda: None, Exception)
        self.methods, self.ready, self.calls = methods, True, []

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(method)
        if not self.ready:
            raise NotReady("gone")
        found = self.methods[method](*args, **kwargs)
        return await found if asyncio.iscoroutine(found) else found

    async def is_ready(self, timeout_s: float) -> bool:
        return self.ready


class Services:
    """An engine and its siblings."""

    def __init__(self, folder: Path, tta: Any = None, gradcam: bool = True) -> None:
        bundle, self.now = Bundle.load(folder).with_tta(tta), 0.0
        served = ServedClassifier(Settings(bundle=folder, threads=1, max_batch_size=3))
        self.classifier = Local(shape=lambda: served.shape, classify=served.classify, provider=lambda: served.provider)
        maps = np.zeros((1, 5, 4, 4), np.float32)
        maps[..., 0, 0] = 1
        self.gradcam = Local(layers=lambda: ["conv_1", "attention"], maps=lambda image, layer: maps)
        self.metrics = EntryMetrics()
        self.engine = ServiceEngine(
            bundle,
            classifier=self.classifier,
            explainer=Local(explain=Explainer().explain),
            gradcam=self.gradcam if gradcam else None,
            metrics=self.metrics,
            clock=lambda: self.now,
        )

    def predict(self, data: bytes, **options: Any) -> Any:
        return asyncio.run(self.engine.predict(data, "id", PredictOptions(**options)))


@pytest.fixture(scope="module")
def cells() -> list[bytes]:
    rng = np.random.default_rng(4)
    return [encode_png(drawn_cell(label, rng)) for label in CLASSES]


def test_no_forward_pass_is_larger_than_the_setting(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(ClassifierMetrics, "observe_batch", lambda _, views: sizes.append(views))
    served = ServedClassifier(Settings(bundle=tiny_bundle, threads=1, max_batch_size=3))
    # BentoML's own limit counts calls, so a call with eight views would exceed it.
    size = Bundle.load(tiny_bundle).manifest.preprocessing.size
    packed = served.classify(np.zeros((8, size, size, 3), np.uint8))
    assert (len(packed), sizes) == (8, [3, 3, 2])


@pytest.mark.parametrize("tta", ["none", "light", "auto"])
def test_same_result_as_the_analyzer(tiny_bundle: Path, cells: list[bytes], tta: Any) -> None:
    services = Services(tiny_bundle, tta)
    bundle = Bundle.load(tiny_bundle).with_tta(tta)
    analyzer = Analyzer(bundle, OnnxClassifier.of(bundle, threads=1))
    for data in cells:
        expected, found = analyzer.analyze(data), services.predict(data, explain=False, heatmaps=False)
        assert found.label == expected.label
        assert list(found.all_probabilities.values()) == pytest.approx(expected.probabilities.tolist(), abs=1e-5)
        assert [reason.code for reason in found.review.reasons] == [reason.code for reason in expected.review]
    assert services.classifier.calls.count("shape") == 1


def test_report_images_and_timings(tiny_bundle: Path, cells: list[bytes]) -> None:
    answer = Services(tiny_bundle).predict(cells[0], language="tr")
    assert isinstance(answer, PredictionAnswer)
    assert (answer.report.language, answer.gradcam_method) == ("tr", "closed_form")
    assert {"decode", "prepare", "forward", "heatmap", "report", "encode"} <= set(answer.timings_ms)
    report = asyncio.run(Services(tiny_bundle).engine.explain(cells[0], "id", "tr"))
    assert report.report.text == answer.llm_report


def test_map_of_a_layer(tiny_bundle: Path, cells: list[bytes]) -> None:
    services = Services(tiny_bundle)
    closed = services.predict(cells[0], explain=False)
    keras = services.predict(cells[0], explain=False, layer="conv_1")
    assert keras.gradcam_method == "keras:conv_1"
    assert keras.heatmap_image != closed.heatmap_image
    assert (keras.label, keras.all_probabilities) == (closed.label, closed.all_probabilities)
    assert services.predict(cells[0], gradcam="keras").gradcam_method == "keras:attention"
    with pytest.raises(InvalidParameter, match="no_such_layer"):
        services.predict(cells[0], layer="no_such_layer")
    with pytest.raises(InvalidParameter, match="WBC_GRADCAM"):
        Services(tiny_bundle, gradcam=False).predict(cells[0], gradcam="keras")


def test_ready_and_alive(tiny_bundle: Path) -> None:
    services = Services(tiny_bundle)
    engine = services.engine
    services.classifier.ready = False
    assert not asyncio.run(engine.is_ready())
    assert asyncio.run(engine.is_alive()), "it may still be starting"
    services.classifier.ready = True
    assert asyncio.run(engine.is_ready())
    assert engine.model.provider == "CPUExecutionProvider"
    services.classifier.ready, services.now = False, DEAD_AFTER_S - 1
    assert asyncio.run(engine.is_alive())
    assert engine.model.provider is None, "a restarted classifier may use another one"
    services.now += 2
    assert not asyncio.run(engine.is_alive())


def test_a_thread_keeps_its_place_until_it_ends(tiny_bundle: Path) -> None:
    engine, release, started = Services(tiny_bundle).engine, threading.Event(), threading.Event()

    def decode_slowly() -> None:
        started.set()
        release.wait(10)

    async def give_up() -> tuple[int, int]:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await engine._run_in_thread(decode_slowly)
        held = engine._threads.borrowed_tokens
        release.set()
        while engine._threads.borrowed_tokens:
            await asyncio.sleep(0.01)
        return held, engine._threads.borrowed_tokens

    assert asyncio.run(give_up()) == (1, 0)
    assert started.is_set()
