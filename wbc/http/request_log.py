"""Middleware that assigns a request ID, logs and counts each request, and turns unhandled exceptions into a 500."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wbc.errors import InputError, WBCError
from wbc.http.metrics import EntryMetrics
from wbc.http.parameters import request_id
from wbc.http.responses import DEFAULT_HEADERS, error_response
from wbc.schemas import BatchAnswer, ExplainAnswer, FileError, ModelInfo, Prediction

log = logging.getLogger("wbc.requests")

KEY = "wbc.request_record"
OTHER_ROUTE = "other"
"""Route of unknown paths in metrics and log, so that arbitrary paths do not create new labels."""


@dataclass
class RequestRecord:
    """Data collected about a request while it is processed.

    Attributes:
        request_id: the caller's or a random one.
        metrics: metrics of this process.
        received_bytes: bytes of the body received so far.
        code: code of the error response.
        error: the error, if the log has to show its traceback.
        fields: further fields of the log line.
    """

    request_id: str
    metrics: EntryMetrics
    received_bytes: int = 0
    code: str | None = None
    error: Exception | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> RequestRecord:
        """Return the record of a request."""
        return cast(RequestRecord, request.scope[KEY])

    def add_error(self, code: str, error: Exception | None = None) -> None:
        """Record an error response."""
        self.code = code
        if error is not None and not isinstance(error, InputError):
            self.error = error

    def add_model(self, model: ModelInfo) -> None:
        """Record the model that is served."""
        self.fields.update(model_version=model.version, bundle_sha256=model.bundle_sha256)

    def add_prediction(self, prediction: Prediction) -> None:
        """Record a prediction."""
        self.metrics.count_prediction(prediction)
        self.fields.update(
            {
                "class": prediction.label,
                "confidence": round(prediction.confidence, 4),
                "review": [reason.code for reason in prediction.review.reasons],
                "timings_ms": prediction.timings_ms,
            }
        )

    def add_report(self, answer: ExplainAnswer) -> None:
        """Record a report."""
        self.metrics.observe_stages(answer.timings_ms)
        self.metrics.count_report(answer.report.provider)
        self.fields.update(timings_ms=answer.timings_ms)

    def add_batch(self, batch: BatchAnswer) -> None:
        """Record the counts of a batch."""
        codes: Counter[str] = Counter()
        labels: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for result in batch.results:
            if isinstance(result, FileError):
                codes[result.error.code] += 1
                self.metrics.count_error(result.error.code)
            else:
                self.metrics.count_prediction(result.prediction)
                labels[result.prediction.label] += 1
                reasons.update(reason.code for reason in result.prediction.review.reasons)
        self.fields.update(
            {
                "files": len(batch.results),
                "classes": dict(labels),
                "failed": dict(codes),
                "review": dict(reasons),
                "timings_ms": batch.timings_ms,
            }
        )


class RequestLogMiddleware:
    """ASGI middleware around the application; see the module."""

    def __init__(self, app: ASGIApp, metrics: EntryMetrics, routes: Mapping[Callable[..., Any], str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0
        record = scope[KEY] = RequestRecord(request_id(Headers(scope=scope)), self.metrics)

        async def count_bytes() -> Message:
            message = await receive()
            record.received_bytes += len(message.get("body", b""))
            return message

        async def add_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = record.request_id
                for name, value in DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self.metrics.begin_request()
        try:
            await self.app(scope, count_bytes, add_headers)
        except asyncio.CancelledError:
            record.add_error("cancelled")
            raise
        except Exception as error:
            failure = WBCError("internal error on this request; see the log")
            record.add_error(failure.code, error)
            if status:
                raise
            await error_response(failure)(scope, receive, add_headers)
        finally:
            self._log(scope, record, status, time.perf_counter() - start)

    def _log(self, scope: Scope, record: RequestRecord, status: int, seconds: float) -> None:
        route = self.routes.get(scope.get("endpoint"), OTHER_ROUTE)  # type: ignore[arg-type]
        self.metrics.end_request(route, status, seconds)
        if record.code is not None:
            self.metrics.count_error(record.code)
        level = logging.ERROR if status == 500 else logging.WARNING if status in (0, 503) else logging.INFO
        if record.error is not None:
            record.fields["error"] = str(record.error)
        fields = {
            "request_id": record.request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "code": record.code,
            "bytes": record.received_bytes,
            "duration_ms": round(seconds * 1e3, 3),
            **record.fields,
        }
        log.log(level, "request", extra={"fields": fields}, exc_info=record.error if status == 500 else None)
