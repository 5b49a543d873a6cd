"""What every request has: an id, headers, one log line, its counts, and an answer where the code fails."""

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

KEY = "wbc.observed"
OTHER_ROUTE = "other"
"""Name, in metrics and log, of every path that is no route: paths that callers make up are not counted apart."""


@dataclass
class Observed:
    """What becomes known of a request while it is answered.

    Attributes:
        request_id: the caller's or a new one.
        metrics: of this process.
        received_bytes: of the body, so far.
        code: of the error that was answered.
        error: that error, where the log has to show where it came from.
        fields: further fields of the log line.
    """

    request_id: str
    metrics: EntryMetrics
    received_bytes: int = 0
    code: str | None = None
    error: Exception | None = None
    fields: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, request: Request) -> Observed:
        """What is known of a request."""
        return cast(Observed, request.scope[KEY])

    def failed(self, code: str, error: Exception | None = None) -> None:
        """The request is answered with an error."""
        self.code = code
        if error is not None and not isinstance(error, InputError):
            self.error = error

    def answers(self, model: ModelInfo) -> None:
        """Which model answers."""
        self.fields.update(model_version=model.version, bundle_sha256=model.bundle_sha256)

    def predicted(self, prediction: Prediction) -> None:
        """The request is answered with a prediction."""
        self._count(prediction)
        self.fields.update(
            {
                "class": prediction.label,
                "confidence": round(prediction.confidence, 4),
                "review": [reason.code for reason in prediction.review.reasons],
                "timings_ms": prediction.timings_ms,
            }
        )

    def explained(self, answer: ExplainAnswer) -> None:
        """The request is answered with a report."""
        self.metrics.stages(answer.timings_ms)
        self.metrics.reported(answer.report.provider)
        self.fields.update(timings_ms=answer.timings_ms)

    def counted(self, batch: BatchAnswer) -> None:
        """The request is answered with a batch."""
        codes: Counter[str] = Counter()
        labels: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for result in batch.results:
            if isinstance(result, FileError):
                codes[result.error.code] += 1
                self.metrics.failed(result.error.code)
            else:
                self._count(result.prediction)
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

    def _count(self, prediction: Prediction) -> None:
        self.metrics.predicted(prediction)
        if prediction.report is not None:
            self.metrics.reported(prediction.report.provider)


class Observation:
    """ASGI middleware around the application; every exception that reaches it becomes a 500."""

    def __init__(self, app: ASGIApp, metrics: EntryMetrics, routes: Mapping[Callable[..., Any], str]) -> None:
        self.app, self.metrics, self.routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 0
        seen = scope[KEY] = Observed(request_id(Headers(scope=scope)), self.metrics)

        async def counted() -> Message:
            message = await receive()
            seen.received_bytes += len(message.get("body", b""))
            return message

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = seen.request_id
                for name, value in DEFAULT_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self.metrics.begun()
        try:
            await self.app(scope, counted, sent)
        except asyncio.CancelledError:
            seen.failed("cancelled")
            raise
        except Exception as error:
            failure = WBCError("the service failed on this request; the log says how")
            seen.failed(failure.code, error)
            if status:
                raise
            await error_response(failure)(scope, receive, sent)
        finally:
            self._end(scope, seen, status, time.perf_counter() - start)

    def _end(self, scope: Scope, seen: Observed, status: int, seconds: float) -> None:
        route = self.routes.get(scope.get("endpoint"), OTHER_ROUTE)  # type: ignore[arg-type]
        self.metrics.ended(route, status, seconds)
        if seen.code is not None:
            self.metrics.failed(seen.code)
        level = logging.ERROR if status == 500 else logging.WARNING if status in (0, 503) else logging.INFO
        if seen.error is not None:
            seen.fields["error"] = str(seen.error)
        fields = {
            "request_id": seen.request_id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "code": seen.code,
            "bytes": seen.received_bytes,
            "duration_ms": round(seconds * 1e3, 3),
            **seen.fields,
        }
        log.log(level, "request", extra={"fields": fields}, exc_info=seen.error if status == 500 else None)
