"""The BentoML services; `bentoml serve service:Analyzer` starts all of them."""

# mypy: allow-untyped-decorators
# bentoml is not followed (pyproject.toml), so its decorators have no types.

from __future__ import annotations

from typing import Any

import bentoml
import numpy as np

from wbc import logs
from wbc.bundle import Bundle
from wbc.explain.facts import Facts
from wbc.explain.report import Report
from wbc.explain.wording import Language
from wbc.http import create_app
from wbc.http.metrics import EntryMetrics, ExplainerMetrics
from wbc.process import delay_shutdown
from wbc.serving.engine import ServiceEngine
from wbc.serving.sibling import Sibling
from wbc.settings import settings

SETTINGS = settings()
logs.configure(SETTINGS.log_format, SETTINGS.log_level)

# Maximum wait in the queue before a call is refused; all admitted images take half of it on two cores.
BATCH_DEADLINE_MS = 20_000
# The entry writes a request log of its own; BentoML's fails on headers that are not UTF-8.
NO_ACCESS_LOG = {"access": {"enabled": False}}
MAX_REQUEST_S = SETTINGS.upload_timeout_s + SETTINGS.request_timeout_s + 5
# Of the services that only `Analyzer` calls. By default BentoML closes a shared connection after 100 requests.
INTERNAL: dict[str, Any] = {"runner_connection": {"max_requests": 10**9, "max_age": 1e9}, "logging": NO_ACCESS_LOG}


class Dependency:
    """A service that the entry calls; it keeps running until the entry has exited."""

    @bentoml.on_startup
    def delay_shutdown(self) -> None:
        delay_shutdown("Analyzer", MAX_REQUEST_S)


@bentoml.service(traffic={"timeout": 60, "max_concurrency": 1024}, **INTERNAL)
class Classifier(Dependency):
    """The ONNX graph; views of different requests share a batch."""

    def __init__(self) -> None:
        from wbc.serving.classifier import ServedClassifier

        self.runner = ServedClassifier(SETTINGS)

    @bentoml.api(batchable=True, max_batch_size=SETTINGS.max_batch_size, max_latency_ms=BATCH_DEADLINE_MS)
    def classify(self, views: np.ndarray) -> np.ndarray:
        """Return the packed outputs of uint8 views (N, S, S, 3), one row per view."""
        return self.runner.classify(views)

    @bentoml.api
    def shape(self) -> list[int]:
        """Return the size of the embedding and the grid of the maps, which unpacking needs."""
        return self.runner.shape

    @bentoml.api
    async def provider(self) -> str:
        """Return the active execution provider."""
        return self.runner.provider


@bentoml.service(traffic={"timeout": 120, "max_concurrency": 1024}, **INTERNAL)
class GradCam(Dependency):
    """Grad-CAM by automatic differentiation of the Keras graph, for any layer; only this process loads TensorFlow."""

    def __init__(self) -> None:
        from wbc.saliency.gradcam import GradCam as Runner

        self.runner = Runner.load(Bundle.load(SETTINGS.bundle).keras_path)

    @bentoml.api
    def maps(self, image: np.ndarray, layer: str) -> np.ndarray:
        """Return the maps of all classes, (1, 5, h, w), for a prepared image (1, S, S, 3)."""
        return self.runner.maps(image, layer)

    @bentoml.api
    def layers(self) -> list[str]:
        """Return the names of the layers that have an activation map."""
        return self.runner.layers


@bentoml.service(traffic={"timeout": 60, "max_concurrency": 1024}, **INTERNAL)
class Explainer(Dependency):
    """Reports by the configured language models, or by rules if none of them succeeds."""

    def __init__(self) -> None:
        from wbc.explain.explainer import Explainer as Runner

        self.runner = Runner.from_settings(SETTINGS, ExplainerMetrics().count_failure)

    @bentoml.on_startup
    async def warm_up(self) -> None:
        await self.runner.warm_up()

    @bentoml.on_shutdown
    async def close(self) -> None:
        await self.runner.aclose()

    @bentoml.api
    async def explain(
        self, facts: Facts, overlay: np.ndarray, image_sha256: str, model_version: str, language: Language
    ) -> Report:
        """Write a report; see `wbc.explain.explainer.Explainer`."""
        return await self.runner.explain(
            facts, overlay=overlay, image_sha256=image_sha256, model_version=model_version, language=language
        )


METRICS = EntryMetrics()
APP = create_app(lambda: bentoml.get_current_service().engine, SETTINGS, METRICS)


@bentoml.asgi_app(APP)
@bentoml.service(
    traffic={"timeout": MAX_REQUEST_S, "max_concurrency": 4096},
    http={"response": {"trace_id": False}},
    logging=NO_ACCESS_LOG,
)
class Analyzer:
    """The entry: HTTP interface, web page and image processing; the models run in services of their own."""

    classifier = bentoml.depends(Classifier)
    explainer = bentoml.depends(Explainer)
    gradcam = bentoml.depends(GradCam) if SETTINGS.gradcam else None

    def __init__(self) -> None:
        failure = bentoml.exceptions.BentoMLException
        self.engine = ServiceEngine(
            Bundle.load(SETTINGS.bundle).with_tta(SETTINGS.tta),
            classifier=Sibling("classifier", lambda: self.classifier, failure),
            explainer=Sibling("explainer", lambda: self.explainer, failure),
            gradcam=Sibling("Grad-CAM", lambda: self.gradcam, failure) if SETTINGS.gradcam else None,
            metrics=METRICS,
            graph=SETTINGS.graph,
        )

    async def __is_ready__(self) -> bool:
        return await self.engine.is_ready()

    async def __is_alive__(self) -> bool:
        return await self.engine.is_alive()
