"""The BentoML services: wiring only. `bentoml serve service:Analyzer` starts all of them."""

# mypy: allow-untyped-decorators
# bentoml is not followed (pyproject.toml), so its decorators have no types.

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import aiohttp
import anyio
import anyio.to_thread
import bentoml
import numpy as np

from wbc.analysis import Analysis, Pipeline
from wbc.bundle import Bundle
from wbc.cpu import cpu_quota
from wbc.errors import InvalidParameter, ModelError, NotReady, Overloaded
from wbc.explain.explainer import Report
from wbc.explain.facts import Facts
from wbc.explain.wording import Language
from wbc.http import PredictOptions, create_app, logs
from wbc.http.metrics import ClassifierMetrics, EntryMetrics, ExplainerMetrics
from wbc.http.shutdown import outlive
from wbc.inference import Outputs
from wbc.preprocessing.pipeline import Prepared
from wbc.preprocessing.stain import reinhard_distance
from wbc.saliency.focus import focus
from wbc.saliency.overlay import heatmap, overlay
from wbc.schemas import ExplainAnswer, ModelInfo, Prediction, PredictionAnswer
from wbc.settings import settings

Result = TypeVar("Result")

SETTINGS = settings()
logs.configure(SETTINGS.log_format, SETTINGS.log_level)

# BentoML closes a dependency's shared connection after 100 requests, under calls that are using it.
LASTING = {"max_requests": 10**9, "max_age": 1e9}
# The longest a full batch may wait before its callers are refused; all that is admitted takes half of it on two cores.
BATCH_DEADLINE_MS = 20_000
# BentoML's own line a request: the entry writes one with more in it, and BentoML's fails on headers that are no UTF-8.
NO_ACCESS_LOG = {"access": {"enabled": False}}
PROBE_TIMEOUT_S = 2
# Longer than it takes a part that got its signal to see that its socket's name is gone (`wbc.http.shutdown`).
RECONNECT_AFTER_S = 0.5
# A part that is gone for longer is not coming back by itself: in a container nobody starts it again.
DEAD_AFTER_S = 60
# The longest that a request which is in hand may still take.
LONGEST_REQUEST_S = SETTINGS.upload_timeout_s + SETTINGS.request_timeout_s + 5


def _inner(timeout_s: float) -> dict[str, Any]:
    """Options of a service that only `Analyzer` calls; the limit on load is kept at the entry."""
    return {
        "traffic": {"timeout": timeout_s, "max_concurrency": 1024},
        "runner_connection": LASTING,
        "logging": NO_ACCESS_LOG,
    }


class Inner:
    """A service that the entry asks, and that is there until the entry is gone."""

    @bentoml.on_startup
    def outlive_the_entry(self) -> None:
        """Finish what the entry has in hand before a signal ends this process."""
        outlive("Analyzer", LONGEST_REQUEST_S)


@bentoml.service(**_inner(60))
class Classifier(Inner):
    """The ONNX graph; views of different requests share a batch."""

    def __init__(self) -> None:
        from wbc.cpu import serving_threads
        from wbc.inference import OnnxClassifier

        self.session = OnnxClassifier.of(
            Bundle.load(SETTINGS.bundle),
            threads=serving_threads(SETTINGS.threads),
            device=SETTINGS.device,
            graph=SETTINGS.graph,
        )
        self.session.warm_up(SETTINGS.max_batch_size)
        self.metrics = ClassifierMetrics()

    @bentoml.api(
        batchable=True, batch_dim=(0, 0), max_batch_size=SETTINGS.max_batch_size, max_latency_ms=BATCH_DEADLINE_MS
    )
    def classify(self, views: np.ndarray) -> np.ndarray:
        """Packed outputs, a row a view, of uint8 (N, S, S, 3)."""
        most, packed = SETTINGS.max_batch_size, []
        for start in range(0, len(views), most):  # BentoML counts calls, not their rows
            part = views[start : start + most]
            self.metrics.forward(len(part))
            packed.append(self.session(part).packed())
        return np.concatenate(packed)

    @bentoml.api
    def shape(self) -> list[int]:
        """What is needed to unpack: the embedding's size and the grid of the maps."""
        return [self.session.embedding_size, *self.session.grid]

    @bentoml.api
    async def provider(self) -> str:
        """The execution provider that is active."""
        return self.session.provider


@bentoml.service(**_inner(120))
class GradCam(Inner):
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
class Explainer(Inner):
    """Reports: language models where configured, rules where none answers."""

    def __init__(self) -> None:
        from wbc.explain.explainer import Explainer as Runner

        metrics = ExplainerMetrics()
        self.runner = Runner.from_settings(SETTINGS, lambda failure: metrics.failed(failure.provider, failure.reason))

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


async def _asked(part: str, call: Callable[[], Awaitable[Result]]) -> Result:
    """What another service answers to a call that can be repeated; what it raises becomes an error of this package.

    It is repeated once where the connection broke: the other side may have been closing one that was kept for long, or
    its process was killed and another one is about to listen at the same place.
    """
    try:
        try:
            return await call()
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(RECONNECT_AFTER_S)
            return await call()
    except bentoml.exceptions.BentoMLException as error:
        if error.error_code in (429, 503):
            raise Overloaded(f"{part} has more to do than it can answer in time; try again in a second") from error
        raise ModelError(f"{part} failed on this image; the log says how") from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise NotReady(f"{part} does not answer; it is starting or being restarted") from error


METRICS = EntryMetrics()
APP = create_app(bentoml.get_current_service, SETTINGS, METRICS)


@bentoml.asgi_app(APP)
@bentoml.service(
    traffic={"timeout": LONGEST_REQUEST_S, "max_concurrency": 4096},
    http={"response": {"trace_id": False}},
    logging=NO_ACCESS_LOG,
)
class Analyzer:
    """The entry: HTTP interface and page; decoding and OpenCV work in threads, the models in services of their own."""

    classifier = bentoml.depends(Classifier)
    explainer = bentoml.depends(Explainer)
    gradcam = bentoml.depends(GradCam) if SETTINGS.gradcam else None

    def __init__(self) -> None:
        self.bundle = Bundle.load(SETTINGS.bundle).with_tta(SETTINGS.tta)
        self.pipeline = Pipeline(self.bundle)
        self.model = ModelInfo.of(self.bundle, graph=SETTINGS.graph)
        METRICS.model(self.model)
        # As many threads as cores: more would hold more decoded pictures at once and be no faster.
        self._threads = anyio.CapacityLimiter(cpu_quota())
        self._shape: list[int] = []
        self._layers: list[str] = []
        self._complete_at: float | None = None

    async def __is_ready__(self) -> bool:
        """Whether every service answers; `/readyz` is 503 until then."""
        parts = [part for part in (self.classifier, self.explainer, self.gradcam) if part is not None]
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                ready = all(await asyncio.gather(*(part.is_ready(PROBE_TIMEOUT_S) for part in parts)))
                if self.model.provider is None or not ready:  # a classifier that was restarted may run elsewhere
                    provider = await self.classifier.to_async.provider() if ready else None
                    self.model = self.model.model_copy(update={"provider": provider})
        except (TimeoutError, OSError, aiohttp.ClientError, bentoml.exceptions.BentoMLException):
            return False
        if ready:
            self._complete_at = time.monotonic()
        return ready

    async def __is_alive__(self) -> bool:
        """Whether to be left alone; `/livez` is 503 once a part that was there has been gone for long."""
        if await self.__is_ready__() or self._complete_at is None:
            return True
        return time.monotonic() - self._complete_at < DEAD_AFTER_S

    async def predict(self, data: bytes, request_id: str, options: PredictOptions) -> Prediction:
        """Answer `POST /predict`, and a file of `POST /predict/batch`."""
        analysis = await self._analyze(data)
        method = "closed_form"
        if options.gradcam == "keras" or options.layer is not None:
            layer = options.layer or self.bundle.manifest.gradcam_layer
            method = f"keras:{layer}"
            analysis = await self._with_keras_map(analysis, layer)
        report = await self._report(analysis, data, options.language) if options.explain else None
        if not options.heatmaps:
            return Prediction.of(analysis, self.model, request_id, report=report)
        answer = partial(PredictionAnswer.of, report=report, gradcam_method=method)
        return await self._in_thread(answer, analysis, self.model, request_id)

    async def explain(self, data: bytes, request_id: str, language: Language) -> ExplainAnswer:
        """Answer `POST /explain`."""
        analysis = await self._analyze(data)
        report = await self._report(analysis, data, language)
        timings = {stage: round(value, 3) for stage, value in analysis.timings_ms.items()}
        return ExplainAnswer(report=report, model=self.model, request_id=request_id, timings_ms=timings)

    async def _in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._threads)

    async def _analyze(self, data: bytes) -> Analysis:
        prepared, timings = await self._in_thread(self._prepare, data)
        start = time.perf_counter()
        outputs = await self._forward(self.pipeline.views(prepared))
        if (further := self.pipeline.further_views(prepared, outputs)) is not None:
            outputs = Outputs.joined(outputs, await self._forward(further))
        timings["forward"] = (time.perf_counter() - start) * 1e3
        return await self._in_thread(self.pipeline.conclude, prepared, outputs, timings)

    def _prepare(self, data: bytes) -> tuple[Prepared, dict[str, float]]:
        prepared, timings = self.pipeline.prepare(data)
        if (reference := self.bundle.manifest.preprocessing.reinhard) is not None:
            METRICS.stain(reinhard_distance(prepared.display, reference))
        return prepared, timings

    async def _forward(self, views: np.ndarray) -> Outputs:
        part = "the classifier"
        size, height, width = self._shape = self._shape or await _asked(part, self.classifier.to_async.shape)
        rows = await _asked(part, lambda: self.classifier.to_async.classify(views))
        return Outputs.unpacked(rows, size, (height, width))

    async def _with_keras_map(self, analysis: Analysis, layer: str) -> Analysis:
        if self.gradcam is None:
            raise InvalidParameter("gradcam=keras is not served here (WBC_GRADCAM=false); closed_form is accepted")
        start, gradcam = time.perf_counter(), self.gradcam.to_async
        layers = self._layers = self._layers or await _asked("Grad-CAM", gradcam.layers)
        if layer not in layers:
            last = ", ".join(layers[-5:])
            raise InvalidParameter(f"layer={layer[:60]!r} has no map; {len(layers)} layers have, the last are {last}")
        maps = await _asked("Grad-CAM", lambda: gradcam.maps(analysis.prepared.model_input[None], layer))
        heat = heatmap(maps[0, self.bundle.manifest.labels.index(analysis.label)], analysis.heatmap.shape[0])
        analysis.timings_ms["gradcam"] = (time.perf_counter() - start) * 1e3
        return replace(analysis, heatmap=heat, focus=focus(heat, analysis.prepared.foreground))

    async def _report(self, analysis: Analysis, data: bytes, language: Language) -> Report:
        prepared, start = analysis.prepared, time.perf_counter()
        picture = await self._in_thread(overlay, prepared.display, analysis.heatmap, prepared.foreground)
        facts, digest = analysis.facts(), hashlib.sha256(data).hexdigest()
        report: Report = await _asked(
            "the explainer",
            lambda: self.explainer.to_async.explain(
                facts=facts,
                overlay=picture,
                image_sha256=digest,
                model_version=self.bundle.sha256,
                language=language,
            ),
        )
        analysis.timings_ms["report"] = (time.perf_counter() - start) * 1e3
        return report
