"""The BentoML services: wiring only. `bentoml serve service:Analyzer` starts all of them."""

# mypy: allow-untyped-decorators
# bentoml is not followed (pyproject.toml), so its decorators have no types.

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import anyio.to_thread
import bentoml
import httpx
import numpy as np

from wbc.analysis import Analysis, Pipeline
from wbc.bundle import Bundle
from wbc.errors import InvalidParameter, ModelError, NotReady, Overloaded
from wbc.explain.explainer import Report
from wbc.explain.facts import Facts
from wbc.http import GradCamMethod, Language, create_app
from wbc.inference import Outputs
from wbc.saliency.focus import focus
from wbc.saliency.overlay import heatmap, overlay
from wbc.schemas import ModelInfo, PredictionAnswer
from wbc.settings import settings

SETTINGS = settings()

# BentoML closes a dependency's shared connection after 100 requests, under calls that are using it.
LASTING = {"max_requests": 10**9, "max_age": 1e9}
# The longest a full batch may wait before its callers are refused; a batch of 32 takes about a second on two cores.
BATCH_DEADLINE_MS = 20_000
PROBE_TIMEOUT_S = 2


def _inner(timeout_s: float) -> dict[str, Any]:
    """Options of a service that only `Analyzer` calls; the limit on load is kept at the entry."""
    return {"traffic": {"timeout": timeout_s, "max_concurrency": 1024}, "runner_connection": LASTING}


@bentoml.service(**_inner(60))
class Classifier:
    """The ONNX graph; views of different requests share a batch."""

    def __init__(self) -> None:
        from wbc.inference import OnnxClassifier

        self.session = OnnxClassifier.of(Bundle.load(SETTINGS.bundle), threads=SETTINGS.threads)

    @bentoml.api(
        batchable=True, batch_dim=(0, 0), max_batch_size=SETTINGS.max_batch_size, max_latency_ms=BATCH_DEADLINE_MS
    )
    def classify(self, views: np.ndarray) -> np.ndarray:
        """Packed outputs, a row a view, of uint8 (N, S, S, 3)."""
        return self.session(views).packed()

    @bentoml.api
    def shape(self) -> list[int]:
        """What is needed to unpack: the embedding's size and the grid of the maps."""
        return [self.session.embedding_size, *self.session.grid]


@bentoml.service(**_inner(120))
class GradCam:
    """Grad-CAM by automatic differentiation of the Keras graph, any layer; TensorFlow lives in this process alone."""

    def __init__(self) -> None:
        import keras

        from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
        from wbc.saliency.gradcam import GradCam as Runner

        self.runner = Runner(keras.saving.load_model(Bundle.load(SETTINGS.bundle).keras_path, compile=False))

    @bentoml.api
    def maps(self, image: np.ndarray, layer: str) -> np.ndarray:
        """Maps of all classes, (1, 5, h, w), of one prepared image (1, S, S, 3)."""
        return self.runner.maps(image, layer)

    @bentoml.api
    def layers(self) -> list[str]:
        """Names of the layers that a map can be taken from."""
        return self.runner.layers


@bentoml.service(**_inner(60))
class Explainer:
    """Reports: language models where configured, rules where none answers."""

    def __init__(self) -> None:
        from wbc.explain.explainer import Explainer as Runner

        self.runner = Runner.from_settings(SETTINGS)

    @bentoml.on_startup
    async def warm_up(self) -> None:
        """Load the configured providers' SDKs before the first report waits for them."""
        await self.runner.warm_up()

    @bentoml.on_shutdown
    async def close(self) -> None:
        """Close the providers' connections."""
        await self.runner.aclose()

    @bentoml.api
    async def explain(
        self, facts: Facts, overlay: np.ndarray, image_sha256: str, model_version: str, language: Language
    ) -> Report:
        """See `wbc.explain.explainer.Explainer.explain`."""
        return await self.runner.explain(
            facts, overlay=overlay, image_sha256=image_sha256, model_version=model_version, language=language
        )


@contextmanager
def _asking(part: str) -> Iterator[None]:
    """Turns what a call of another service raises into an error of this package."""
    try:
        yield
    except bentoml.exceptions.BentoMLException as error:
        if error.error_code in (429, 503):
            raise Overloaded(f"{part} has more to do than it can answer in time; try again in a second") from error
        raise ModelError(f"{part} failed on this image; the log says how") from error
    except httpx.HTTPError as error:
        raise NotReady(f"{part} does not answer; it is starting or being restarted") from error


APP = create_app(bentoml.get_current_service, SETTINGS)


@bentoml.asgi_app(APP)
@bentoml.service(
    traffic={"timeout": SETTINGS.request_timeout_s + 5, "max_concurrency": 4096}, http={"response": {"trace_id": False}}
)
class Analyzer:
    """The entry: HTTP interface and page; decoding and OpenCV work in threads, the models in services of their own."""

    classifier = bentoml.depends(Classifier)
    explainer = bentoml.depends(Explainer)
    gradcam = bentoml.depends(GradCam) if SETTINGS.gradcam else None

    def __init__(self) -> None:
        self.bundle = Bundle.load(SETTINGS.bundle)
        self.pipeline = Pipeline(self.bundle)
        self.model = ModelInfo.of(self.bundle)
        self._shape: list[int] | None = None
        self._layers: list[str] | None = None

    async def __is_ready__(self) -> bool:
        """Whether every service answers; `/readyz` is 503 until then."""
        parts = [part for part in (self.classifier, self.explainer, self.gradcam) if part is not None]
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                return all(await asyncio.gather(*(part.is_ready(PROBE_TIMEOUT_S) for part in parts)))
        except (TimeoutError, OSError, httpx.HTTPError):
            return False

    async def predict(
        self,
        data: bytes,
        request_id: str,
        *,
        explain: bool,
        language: Language,
        gradcam: GradCamMethod,
        layer: str | None,
    ) -> PredictionAnswer:
        """Answer `POST /predict`."""
        analysis = await self._analyze(data)
        method = "closed_form"
        if gradcam == "keras" or layer is not None:
            method = f"keras:{layer or self.bundle.manifest.gradcam_layer}"
            analysis = await self._with_keras_map(analysis, layer or self.bundle.manifest.gradcam_layer)
        report = await self._report(analysis, data, language) if explain else None
        return await anyio.to_thread.run_sync(
            lambda: PredictionAnswer.of(analysis, self.model, request_id, report=report, gradcam_method=method)
        )

    async def explain(self, data: bytes, *, language: Language) -> Report:
        """Answer `POST /explain`."""
        return await self._report(await self._analyze(data), data, language)

    async def _analyze(self, data: bytes) -> Analysis:
        prepared, timings = await anyio.to_thread.run_sync(self.pipeline.prepare, data)
        start = time.perf_counter()
        with _asking("the classifier"):
            if self._shape is None:
                self._shape = await self.classifier.to_async.shape()
            rows = await self.classifier.to_async.classify(self.pipeline.views(prepared))
        timings["forward"] = (time.perf_counter() - start) * 1e3
        outputs = Outputs.unpacked(rows, self._shape[0], (self._shape[1], self._shape[2]))
        return await anyio.to_thread.run_sync(self.pipeline.conclude, prepared, outputs, timings)

    async def _with_keras_map(self, analysis: Analysis, layer: str) -> Analysis:
        if self.gradcam is None:
            raise InvalidParameter("gradcam=keras is not served here (WBC_GRADCAM=false); closed_form is accepted")
        with _asking("Grad-CAM"):
            if self._layers is None:
                self._layers = await self.gradcam.to_async.layers()
            if layer not in self._layers:
                last = ", ".join(self._layers[-5:])
                raise InvalidParameter(
                    f"layer={layer[:60]!r} has no map; {len(self._layers)} layers have, the last are {last}"
                )
            maps = await self.gradcam.to_async.maps(analysis.prepared.model_input[None], layer)
        heat = heatmap(maps[0, self.bundle.manifest.labels.index(analysis.label)], analysis.heatmap.shape[0])
        return replace(analysis, heatmap=heat, focus=focus(heat, analysis.prepared.foreground))

    async def _report(self, analysis: Analysis, data: bytes, language: Language) -> Report:
        prepared = analysis.prepared
        with _asking("the explainer"):
            report: Report = await self.explainer.to_async.explain(
                facts=analysis.facts(),
                overlay=overlay(prepared.display, analysis.heatmap, prepared.foreground),
                image_sha256=hashlib.sha256(data).hexdigest(),
                model_version=self.bundle.sha256,
                language=language,
            )
        return report
