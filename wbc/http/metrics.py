"""Prometheus metrics. BentoML's `/metrics` of the entry shows those of every process of the service.

In a process of the service the values live in files that all processes share (`PROMETHEUS_MULTIPROC_DIR`, set by
BentoML), so each registry here only keeps names apart.
"""

from __future__ import annotations

from functools import cached_property

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wbc.schemas import ModelInfo, Prediction

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONFIDENCE_BUCKETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
DELTA_E_BUCKETS = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 60)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class EntryMetrics:
    """What the entry counts: requests and what was answered."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._requests = Counter(
            "wbc_requests", "Requests answered, by route and HTTP status.", ["route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "wbc_request_seconds",
            "From the request's first line to its answer.",
            ["route"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        # The most recent value and not a sum over processes: a killed entry's last value must not stay.
        self._in_progress = Gauge(
            "wbc_requests_in_progress",
            "Requests being received or answered.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._model = Gauge(
            "wbc_model_info",
            "1 for the model that answers.",
            ["name", "version", "bundle_sha256"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._errors = Counter(
            "wbc_errors",
            "Error answers by code, those of single files of a batch as well.",
            ["code"],
            registry=registry,
        )
        self._stage_seconds = Histogram(
            "wbc_stage_seconds", "Time of one stage of an image.", ["stage"], buckets=STAGE_BUCKETS_S, registry=registry
        )
        self._predictions = Counter("wbc_predictions", "Images answered, by class.", ["class"], registry=registry)
        self._confidence = Histogram(
            "wbc_confidence_ratio",
            "Calibrated probability of the predicted class, 0 to 1.",
            ["class"],
            buckets=CONFIDENCE_BUCKETS,
            registry=registry,
        )
        self._flagged = Counter("wbc_predictions_flagged", "Images answered and flagged for review.", registry=registry)
        self._reasons = Counter(
            "wbc_review_reasons", "Reasons for review; an image may have several.", ["reason"], registry=registry
        )
        self._reports = Counter("wbc_reports", "Reports by who wrote them.", ["provider"], registry=registry)
        self._running = 0

    @cached_property
    def _stain_delta_e(self) -> Histogram:
        # Made at its first value: where the bundle has no reference there is no such metric.
        return Histogram(
            "wbc_stain_distance_delta_e",
            "Colour difference (CIE76) of an image's mean from the training images'.",
            buckets=DELTA_E_BUCKETS,
            registry=self.registry,
        )

    def begun(self) -> None:
        """A request came."""
        self._running += 1
        self._in_progress.set(self._running)

    def ended(self, route: str, status: int, seconds: float) -> None:
        """It was answered."""
        self._running -= 1
        self._in_progress.set(self._running)
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def failed(self, code: str) -> None:
        """A request, or a file of a batch, was answered with an error."""
        self._errors.labels(code).inc()

    def model(self, info: ModelInfo) -> None:
        """Which model answers."""
        self._model.labels(info.name, info.version, info.bundle_sha256).set(1)

    def stages(self, timings_ms: dict[str, float]) -> None:
        """How long the stages of one image took, in milliseconds."""
        for stage, milliseconds in timings_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1e3)

    def predicted(self, prediction: Prediction) -> None:
        """An image was answered."""
        self.stages(prediction.timings_ms)
        self._predictions.labels(prediction.label).inc()
        self._confidence.labels(prediction.label).observe(prediction.confidence)
        if prediction.review.needed:
            self._flagged.inc()
        for reason in prediction.review.reasons:
            self._reasons.labels(reason.code).inc()

    def stain(self, delta_e: float) -> None:
        """How far an image's stain lies from the training images', CIE76."""
        self._stain_delta_e.observe(delta_e)

    def reported(self, provider: str) -> None:
        """A report was written."""
        self._reports.labels(provider).inc()


class ClassifierMetrics:
    """What the process of the ONNX graph counts."""

    def __init__(self) -> None:
        self._batches = Histogram(
            "wbc_forward_batch_images",
            "Views in one forward pass.",
            buckets=BATCH_BUCKETS,
            registry=CollectorRegistry(),
        )

    def forward(self, views: int) -> None:
        """A forward pass of so many views."""
        self._batches.observe(views)


class ExplainerMetrics:
    """What the process that asks language models counts."""

    def __init__(self) -> None:
        self._failures = Counter(
            "wbc_explainer_failures",
            "Providers that were asked, or passed over, and wrote no report.",
            ["provider", "reason"],
            registry=CollectorRegistry(),
        )

    def failed(self, provider: str, reason: str) -> None:
        """A provider wrote no report."""
        self._failures.labels(provider, reason).inc()
