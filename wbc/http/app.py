"""The HTTP interface as a Starlette application."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from wbc.errors import WBCError
from wbc.http.admission import Admission
from wbc.http.batch import predict_files
from wbc.http.drain import DrainMiddleware
from wbc.http.engine import Engine, PredictOptions
from wbc.http.metrics import EntryMetrics
from wbc.http.openapi import create_document
from wbc.http.parameters import BatchQuery, ExplainQuery, PredictQuery, check_key, parse_query
from wbc.http.request_log import RequestLogMiddleware, RequestRecord
from wbc.http.responses import PAGE_HEADERS, error_response, json_answer
from wbc.http.uploads import parse_uploads
from wbc.schemas import BatchAnswer, DifferentialAnswer, ErrorAnswer
from wbc.settings import Settings

WEB = Path(__file__).parent.parent / "web"
FILES = frozenset(path.name for path in WEB.iterdir() if path.is_file())
"""Files of the page; nothing else in the folder is served."""


def create_app(engine: Callable[[], Engine], settings: Settings, metrics: EntryMetrics | None = None) -> Starlette:
    """Create the application.

    Args:
        engine: returns the engine; called on each request, since BentoML creates a service after its application.
        settings: limits, API key and origins.
        metrics: metrics of this process; None creates new ones.
    """
    api, document = _Api(engine, settings), create_document(settings)

    async def send_openapi(_: Request) -> Response:
        return JSONResponse(document)

    routes = [
        Route("/", _send_page, methods=["GET"]),
        Route("/web/{name}", _send_file, methods=["GET"]),
        Route("/openapi.json", send_openapi, methods=["GET"]),
        Route("/model", api.describe_model, methods=["GET"]),
        Route("/predict", api.predict, methods=["POST"]),
        Route("/predict/batch", api.predict_batch, methods=["POST"]),
        Route("/explain", api.explain, methods=["POST"]),
    ]
    middleware = [Middleware(DrainMiddleware, max_bytes=settings.max_batch_body_bytes)]
    if settings.cors_origins:  # outside the request log, so that its error responses have CORS headers too
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
        middleware.append(cors)
    paths = {route.endpoint: route.path for route in routes}
    middleware.append(Middleware(RequestLogMiddleware, metrics=metrics or EntryMetrics(), routes=paths))
    return Starlette(
        routes=[*routes, Route("/{path:path}", _NotFound(routes))],
        middleware=middleware,
        exception_handlers={WBCError: _handle_wbc_error, HTTPException: _handle_http_exception},
    )


class _Api:
    """The routes that need the engine."""

    def __init__(self, engine: Callable[[], Engine], settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        self._admission = Admission(settings)

    async def describe_model(self, request: Request) -> Response:
        check_key(request, self._key)
        return json_answer(self._engine().model)

    async def predict(self, request: Request) -> Response:
        check_key(request, self._key)
        options = PredictOptions(**parse_query(request, PredictQuery).model_dump())
        data = await self._read_file(request)
        record, engine = self._start(request)
        async with self._admission.admit_work():
            answer = await engine.predict(data, record.request_id, options)
        record.add_prediction(answer)
        return json_answer(answer)

    async def explain(self, request: Request) -> Response:
        check_key(request, self._key)
        query = parse_query(request, ExplainQuery)
        data = await self._read_file(request)
        record, engine = self._start(request)
        async with self._admission.admit_work():
            answer = await engine.explain(data, record.request_id, query.language)
        record.add_report(answer)
        return json_answer(answer)

    async def predict_batch(self, request: Request) -> Response:
        check_key(request, self._key)
        options = PredictOptions(**parse_query(request, BatchQuery).model_dump())
        fan_out, limits = self._admission.fan_out, self._settings
        async with self._admission.admit_batch(), AsyncExitStack() as uploads:
            async with self._admission.admit_upload(fan_out):
                files = await uploads.enter_async_context(
                    parse_uploads(request, max_files=limits.max_files, max_bytes=limits.max_batch_body_bytes)
                )
            record, engine = self._start(request)
            start = time.perf_counter()
            async with self._admission.admit_work(fan_out):
                results = await predict_files(
                    files, lambda data: engine.predict(data, record.request_id, options), fan_out, record.request_id
                )
            answer = BatchAnswer(
                results=results,
                differential=DifferentialAnswer.of(results),
                model=engine.model,
                request_id=record.request_id,
                timings_ms={"total": round((time.perf_counter() - start) * 1e3, 3)},
            )
            record.add_batch(answer)
            return await anyio.to_thread.run_sync(partial(json_answer, answer))  # up to tens of megabytes

    async def _read_file(self, request: Request) -> bytes:
        async with (
            self._admission.admit_upload(),
            parse_uploads(request, max_files=1, max_bytes=self._settings.max_body_bytes) as files,
        ):
            return await files[0].read()

    def _start(self, request: Request) -> tuple[RequestRecord, Engine]:
        record, engine = RequestRecord.of(request), self._engine()
        record.add_model(engine.model)
        return record, engine


class _NotFound:
    """Responds to unknown paths and methods with the error schema."""

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        methods = [
            method
            for route in self.routes
            if route.matches(scope)[0] is Match.PARTIAL
            for method in route.methods or ()
        ]
        if methods:
            allowed = ", ".join(sorted(methods))
            raise HTTPException(405, f"method {scope['method'][:20]} not allowed; use {allowed}", {"Allow": allowed})
        raise HTTPException(404, f"path {scope['path'][:100]!r} not found; see /openapi.json for all paths")


async def _send_page(_: Request) -> Response:
    return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)


async def _send_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        raise HTTPException(404, f"file {name[:100]!r} not found")
    return FileResponse(WEB / name, headers=PAGE_HEADERS)


async def _handle_wbc_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WBCError)
    RequestRecord.of(request).add_error(error.code, error)
    return error_response(error)


async def _handle_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    RequestRecord.of(request).add_error(code)
    answer = ErrorAnswer(error=error.detail, code=code)
    return JSONResponse(answer.model_dump(), status_code=error.status_code, headers=error.headers)
