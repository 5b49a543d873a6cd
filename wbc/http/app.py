"""The HTTP interface as a Starlette application: uploads in, one schema of answers and one of errors out."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import get_args

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
from wbc.explain.wording import Language
from wbc.http.admission import Admission
from wbc.http.batch import answer_each
from wbc.http.draining import Draining
from wbc.http.engine import Engine, GradCamMethod, PredictOptions
from wbc.http.metrics import EntryMetrics
from wbc.http.observation import Observation, Observed
from wbc.http.openapi import document
from wbc.http.parameters import check_key, choice, flag
from wbc.http.responses import PAGE_HEADERS, error_response, json_answer
from wbc.http.uploads import received
from wbc.schemas import BatchAnswer, DifferentialAnswer, ErrorAnswer
from wbc.settings import Settings

WEB = Path(__file__).parent.parent / "web"
FILES = frozenset(path.name for path in WEB.iterdir() if path.is_file())
"""Names of the page's files; nothing else is served from the folder."""


def create_app(engine: Callable[[], Engine], settings: Settings, metrics: EntryMetrics | None = None) -> Starlette:
    """The application.

    Args:
        engine: asked at each request, since a service exists only after its app.
        settings: limits, key and origins.
        metrics: what counts; a new one where None.
    """
    api = _Api(engine, settings)
    routes = [
        Route("/", _page, methods=["GET"]),
        Route("/web/{name}", _asset, methods=["GET"]),
        Route("/openapi.json", _openapi(settings), methods=["GET"]),
        Route("/model", api.model, methods=["GET"]),
        Route("/predict", api.predict, methods=["POST"]),
        Route("/predict/batch", api.batch, methods=["POST"]),
        Route("/explain", api.explain, methods=["POST"]),
    ]
    middleware = [Middleware(Draining, max_bytes=settings.max_batch_body_bytes)]
    if settings.cors_origins:  # around what answers errors, so that a page can read these too
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
        middleware.append(cors)
    paths = {route.endpoint: route.path for route in routes}
    middleware.append(Middleware(Observation, metrics=metrics or EntryMetrics(), routes=paths))
    return Starlette(
        routes=[*routes, Route("/{path:path}", _Nowhere(routes))],
        middleware=middleware,
        exception_handlers={WBCError: _known, HTTPException: _refused},
    )


class _Api:
    """The routes that ask the engine."""

    def __init__(self, engine: Callable[[], Engine], settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._key = settings.api_key.get_secret_value() if settings.api_key else None
        self._admission = Admission(settings)

    async def model(self, request: Request) -> Response:
        check_key(request, self._key)
        return json_answer(self._engine().model)

    async def predict(self, request: Request) -> Response:
        check_key(request, self._key)
        options = PredictOptions(
            explain=flag(request, "explain", True),
            language=choice(request, "language", get_args(Language)),
            gradcam=choice(request, "gradcam", get_args(GradCamMethod)),
            layer=request.query_params.get("layer"),
        )
        data = await self._received_file(request)
        seen, engine = self._seen(request)
        async with self._admission.working():
            answer = await engine.predict(data, seen.request_id, options)
        seen.predicted(answer)
        return json_answer(answer)

    async def explain(self, request: Request) -> Response:
        check_key(request, self._key)
        language = choice(request, "language", get_args(Language))
        data = await self._received_file(request)
        seen, engine = self._seen(request)
        async with self._admission.working():
            answer = await engine.explain(data, seen.request_id, language)
        seen.explained(answer)
        return json_answer(answer)

    async def batch(self, request: Request) -> Response:
        check_key(request, self._key)
        options = PredictOptions(
            explain=flag(request, "explain", False),
            language=choice(request, "language", get_args(Language)),
            heatmaps=flag(request, "heatmaps", False),
        )
        fan_out, limits = self._admission.fan_out, self._settings
        async with self._admission.batch(), AsyncExitStack() as uploads:
            async with self._admission.receiving(fan_out):
                files = await uploads.enter_async_context(
                    received(request, max_files=limits.max_files, max_bytes=limits.max_batch_body_bytes)
                )
            seen, engine = self._seen(request)
            start = time.perf_counter()
            async with self._admission.working(fan_out):
                results = await answer_each(
                    files, lambda data: engine.predict(data, seen.request_id, options), fan_out, seen.request_id
                )
            answer = BatchAnswer(
                results=results,
                differential=DifferentialAnswer.of(results),
                model=engine.model,
                request_id=seen.request_id,
                timings_ms={"total": round((time.perf_counter() - start) * 1e3, 3)},
            )
            seen.counted(answer)
            return await anyio.to_thread.run_sync(partial(json_answer, answer))  # up to tens of megabytes

    async def _received_file(self, request: Request) -> bytes:
        async with (
            self._admission.receiving(),
            received(request, max_files=1, max_bytes=self._settings.max_body_bytes) as files,
        ):
            return await files[0].read()

    def _seen(self, request: Request) -> tuple[Observed, Engine]:
        seen, engine = Observed.of(request), self._engine()
        seen.answers(engine.model)
        return seen, engine


class _Nowhere:
    """Answers what no route answers, in the schema of every error."""

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
            raise HTTPException(405, f"{scope['method'][:20]} is not answered here; {allowed} is", {"Allow": allowed})
        raise HTTPException(404, f"nothing at {scope['path'][:100]!r}; /openapi.json lists what there is")


async def _page(_: Request) -> Response:
    return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FILES:
        raise HTTPException(404, f"no file {name[:100]!r} here")
    return FileResponse(WEB / name, headers=PAGE_HEADERS)


def _openapi(settings: Settings) -> Callable[[Request], Response]:
    described = document(settings)

    def openapi(_: Request) -> Response:
        return JSONResponse(described)

    return openapi


async def _known(request: Request, error: Exception) -> Response:
    assert isinstance(error, WBCError)
    Observed.of(request).failed(error.code, error)
    return error_response(error)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    Observed.of(request).failed(code)
    answer = ErrorAnswer(error=error.detail, code=code)
    return JSONResponse(answer.model_dump(), status_code=error.status_code, headers=error.headers)
