"""Prometheus metrics; BentoML's `/metrics` of the entry shows those of all processes.

In a served process the values are stored in files that all processes share (`PROMETHEUS_MULTIPROC_DIR`, set by
BentoML); the registries here only separate names.
"""

from __future__ import annotations

from functools import cached_property, partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wbc.explain.report import Failure
from wbc.schemas import ModelInfo, Prediction

STAGE_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
REQUEST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
CONFIDENCE_BUCKETS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999, 1.0)
DELTA_E_BUCKETS = (1, 2, 3, 5, 7.5, 10, 15, 20, 30, 40, 60)
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)


class EntryMetrics:
    """Metrics of the entry: requests and predictions."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        counter, histogram = partial(Counter, registry=registry), partial(Histogram, registry=registry)
        # The most recent value, not a sum over processes: the last value of a killed process must not remain.
        gauge = partial(Gauge, registry=registry, multiprocess_mode="mostrecent")
        self._requests = counter("wbc_requests", "Requests by route and HTTP status.", ["route", "status"])
        self._request_seconds = histogram(
            "wbc_request_seconds",
            "Time from the first line of a request to its response.",
            ["route"],
            buckets=REQUEST_BUCKETS_S,
        )
        self._in_progress = gauge("wbc_requests_in_progress", "Requests in progress.")
        self._model = gauge("wbc_model_info", "1 for the model that is served.", ["name", "version", "bundle_sha256"])
        self._errors = counter("wbc_errors", "Error responses by code, including single files of a batch.", ["code"])
        self._stage_seconds = histogram(
            "wbc_stage_seconds", "Time of one stage of an image.", ["stage"], buckets=STAGE_BUCKETS_S
        )
        self._predictions = counter("wbc_predictions", "Predictions by class.", ["class"])
        self._confidence = histogram(
            "wbc_confidence_ratio",
            "Calibrated probability of the predicted class, 0 to 1.",
            ["class"],
            buckets=CONFIDENCE_BUCKETS,
        )
        self._flagged = counter("wbc_predictions_flagged", "Predictions flagged for review.")
        self._reasons = counter("wbc_review_reasons", "Reasons for review; an image may have several.", ["reason"])
        self._reports = counter("wbc_reports", "Reports by provider.", ["provider"])
        self._running = 0

    @cached_property
    def _stain_delta_e(self) -> Histogram:
        # Created at its first value, so that the metric is absent if the bundle has no reference.
        return Histogram(
            "wbc_stain_distance_delta_e",
            "Difference (CIE76) between the mean colour of an image and that of the training images.",
            buckets=DELTA_E_BUCKETS,
            registry=self.registry,
        )

    def begin_request(self) -> None:
        """Count a request in progress."""
        self._running += 1
        self._in_progress.set(self._running)

    def end_request(self, route: str, status: int, seconds: float) -> None:
        """Count a completed request."""
        self._running -= 1
        self._in_progress.set(self._running)
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_error(self, code: str) -> None:
        """Count a request, or a file of a batch, that failed."""
        self._errors.labels(code).inc()

    def set_model(self, info: ModelInfo) -> None:
        """Set the model that is served."""
        self._model.labels(info.name, info.version, info.bundle_sha256).set(1)

    def observe_stages(self, timings_ms: dict[str, float]) -> None:
        """Record the times of the stages of one image."""
        for stage, milliseconds in timings_ms.items():
            self._stage_seconds.labels(stage).observe(milliseconds / 1e3)

    def count_prediction(self, prediction: Prediction) -> None:
        """Count a prediction and its report, if it has one."""
        self.observe_stages(prediction.timings_ms)
        self._predictions.labels(prediction.label).inc()
        self._confidence.labels(prediction.label).observe(prediction.confidence)
        if prediction.review.needed:
            self._flagged.inc()
        for reason in prediction.review.reasons:
            self._reasons.labels(reason.code).inc()
        if prediction.report is not None:
            self.count_report(prediction.report.provider)

    def observe_stain(self, delta_e: float) -> None:
        """Record the distance (CIE76) between the stain of an image and that of the training images."""
        self._stain_delta_e.observe(delta_e)

    def count_report(self, provider: str) -> None:
        """Count a report."""
        self._reports.labels(provider).inc()


class ClassifierMetrics:
    """Metrics of the classifier process."""

    def __init__(self) -> None:
        self._batches = Histogram(
            "wbc_forward_batch_images",
            "Views in one forward pass.",
            buckets=BATCH_BUCKETS,
            registry=CollectorRegistry(),
        )

    def observe_batch(self, views: int) -> None:
        """Record the number of views in a forward pass."""
        self._batches.observe(views)


class ExplainerMetrics:
    """Metrics of the explainer process."""

    def __init__(self) -> None:
        self._failures = Counter(
            "wbc_explainer_failures",
            "Failures of language models, including those skipped by the circuit breaker.",
            ["provider", "reason"],
            registry=CollectorRegistry(),
        )

    def count_failure(self, failure: Failure) -> None:
        """Count a provider that did not write a report."""
        self._failures.labels(failure.provider, failure.reason).inc()
