"""The steps of `wbc.Analyzer` with the models in other processes."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import numpy as np
from numpy.typing import NDArray

from wbc.analysis import Analysis, Pipeline
from wbc.bundle import Bundle
from wbc.cpu import cpu_quota
from wbc.errors import InvalidParameter, WBCError
from wbc.explain.report import Report
from wbc.explain.wording import Language
from wbc.http.engine import PredictOptions
from wbc.http.metrics import EntryMetrics
from wbc.inference import Outputs
from wbc.preprocessing.pipeline import Prepared
from wbc.preprocessing.stain import reinhard_distance
from wbc.saliency.focus import focus
from wbc.saliency.overlay import heatmap, overlay
from wbc.schemas import ExplainAnswer, ModelInfo, Prediction, PredictionAnswer, round_timings
from wbc.serving.sibling import Sibling
from wbc.settings import Graph

Result = TypeVar("Result")

PROBE_TIMEOUT_S = 2
DEAD_AFTER_S = 60
"""A dependency that is gone for longer is not coming back: in a container nothing restarts a single process."""


class ServiceEngine:
    """Analyzes uploads in the entry service: OpenCV work in threads, the models through `Sibling` calls.

    Args:
        bundle: the bundle that is served, with its views.
        classifier: methods `shape()`, `classify(views)` and `provider()`.
        explainer: method `explain(...)` of `wbc.explain.explainer.Explainer`.
        gradcam: methods `layers()` and `maps(image, layer)`; None if the Keras graph is not served.
        metrics: counters of the entry.
        graph: precision of the graph that the classifier runs.
        clock: seconds from an arbitrary start.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        classifier: Sibling,
        explainer: Sibling,
        gradcam: Sibling | None,
        metrics: EntryMetrics,
        graph: Graph = "fp32",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bundle, self.pipeline = bundle, Pipeline(bundle)
        self.model = ModelInfo.of(bundle, graph=graph)
        self._classifier, self._explainer, self._gradcam = classifier, explainer, gradcam
        self._metrics, self._clock = metrics, clock
        metrics.set_model(self.model)
        # One thread per core: more would hold more decoded images in memory without being faster.
        self._threads = anyio.CapacityLimiter(cpu_quota())
        self._shape: list[int] = []
        self._layers: list[str] = []
        self._ready_at: float | None = None

    async def is_ready(self) -> bool:
        """Return true if every service responds; updates the classifier's execution provider after a restart."""
        siblings = [part for part in (self._classifier, self._explainer, self._gradcam) if part is not None]
        ready = all(await asyncio.gather(*(part.is_ready(PROBE_TIMEOUT_S) for part in siblings)))
        if self.model.provider is None or not ready:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_S):
                    provider = await self._classifier.call("provider") if ready else None
            except (TimeoutError, WBCError):
                return False
            self.model = self.model.model_copy(update={"provider": provider})
        if ready:
            self._ready_at = self._clock()
        return ready

    async def is_alive(self) -> bool:
        """Return false if the services were complete once and have been incomplete for `DEAD_AFTER_S`."""
        if await self.is_ready() or self._ready_at is None:
            return True
        return self._clock() - self._ready_at < DEAD_AFTER_S

    async def predict(self, data: bytes, request_id: str, options: PredictOptions) -> Prediction:
        """Classify one image; see `wbc.http.Engine`."""
        analysis, method = await self._analyze(data), "closed_form"
        if options.gradcam == "keras" or options.layer is not None:
            layer = options.layer or self.bundle.manifest.gradcam_layer
            method = f"keras:{layer}"
            analysis = await self._replace_map(analysis, layer)
        report = await self._write_report(analysis, data, options.language) if options.explain else None
        if not options.heatmaps:
            return Prediction.of(analysis, self.model, request_id, report=report)
        create = partial(PredictionAnswer.of, report=report, gradcam_method=method)
        return await self._run_in_thread(create, analysis, self.model, request_id)

    async def explain(self, data: bytes, request_id: str, language: Language) -> ExplainAnswer:
        """Write a report on one image; see `wbc.http.Engine`."""
        analysis = await self._analyze(data)
        report = await self._write_report(analysis, data, language)
        timings = round_timings(analysis.timings_ms)
        return ExplainAnswer(report=report, model=self.model, request_id=request_id, timings_ms=timings)

    async def _run_in_thread(self, function: Callable[..., Result], *args: Any) -> Result:
        """Run a function in a thread; its place is free when the thread ends, even if the caller gave up before."""
        running = asyncio.ensure_future(anyio.to_thread.run_sync(partial(function, *args), limiter=self._threads))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.add_done_callback(
                lambda done: done.cancelled() or done.exception()
            )  # read, so that it is not logged
            raise

    async def _analyze(self, data: bytes) -> Analysis:
        prepared, timings = await self._run_in_thread(self._prepare, data)
        start = time.perf_counter()
        outputs = await self._forward(self.pipeline.views(prepared))
        if (further := self.pipeline.further_views(prepared, outputs)) is not None:
            outputs = Outputs.joined(outputs, await self._forward(further))
        timings["forward"] = (time.perf_counter() - start) * 1e3
        return await self._run_in_thread(self.pipeline.conclude, prepared, outputs, timings)

    def _prepare(self, data: bytes) -> tuple[Prepared, dict[str, float]]:
        prepared, timings = self.pipeline.prepare(data)
        if (reference := self.bundle.manifest.preprocessing.reinhard) is not None:
            self._metrics.observe_stain(reinhard_distance(prepared.display, reference))
        return prepared, timings

    async def _forward(self, views: NDArray[np.uint8]) -> Outputs:
        size, height, width = self._shape = self._shape or await self._classifier.call("shape")
        return Outputs.unpacked(await self._classifier.call("classify", views), size, (height, width))

    async def _replace_map(self, analysis: Analysis, layer: str) -> Analysis:
        """Return the analysis with the Grad-CAM of a layer of the Keras graph."""
        if self._gradcam is None:
            raise InvalidParameter("gradcam=keras is not available on this server (WBC_GRADCAM=false); use closed_form")
        start = time.perf_counter()
        layers = self._layers = self._layers or await self._gradcam.call("layers")
        if layer not in layers:
            raise InvalidParameter(
                f"layer={layer[:60]!r} has no activation map; use one of {len(layers)}, such as "
                f"{', '.join(layers[-5:])}"
            )
        maps = await self._gradcam.call("maps", analysis.prepared.model_input[None], layer)
        heat = heatmap(maps[0, self.bundle.manifest.labels.index(analysis.label)], analysis.heatmap.shape[0])
        analysis.timings_ms["gradcam"] = (time.perf_counter() - start) * 1e3
        return replace(analysis, heatmap=heat, focus=focus(heat, analysis.prepared.foreground))

    async def _write_report(self, analysis: Analysis, data: bytes, language: Language) -> Report:
        prepared, start = analysis.prepared, time.perf_counter()
        report = await self._explainer.call(
            "explain",
            facts=analysis.facts(),
            overlay=await self._run_in_thread(overlay, prepared.display, analysis.heatmap, prepared.foreground),
            image_sha256=hashlib.sha256(data).hexdigest(),
            model_version=self.bundle.sha256,
            language=language,
        )
        analysis.timings_ms["report"] = (time.perf_counter() - start) * 1e3
        return cast(Report, report)
