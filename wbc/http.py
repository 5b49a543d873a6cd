"""The HTTP interface as a Starlette application: uploads in, one schema of answers and one of errors out."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol, TypeVar, get_args

from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wbc.errors import (
    BodyTooLarge,
    DeadlineExceeded,
    InputError,
    InvalidParameter,
    Overloaded,
    Unauthorized,
    WBCError,
)
from wbc.explain.explainer import Report
from wbc.images import ACCEPTED
from wbc.schemas import ErrorAnswer, ModelInfo, PredictionAnswer
from wbc.settings import Settings

log = logging.getLogger("wbc.http")

WEB = Path(__file__).parent / "web"

GradCamMethod = Literal["closed_form", "keras"]
Language = Literal["en", "tr"]
Choice = TypeVar("Choice", bound=str)

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class Engine(Protocol):
    """What answers behind the interface."""

    @property
    def model(self) -> ModelInfo:
        """Which model answers."""

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
        """Classify one image."""

    async def explain(self, data: bytes, *, language: Language) -> Report:
        """Report on one image."""


def create_app(engine: Callable[[], Engine], settings: Settings) -> Starlette:
    """The application; `engine` is asked at each request, since a service exists only after its app."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    gate = _Gate(settings.max_concurrency, settings.request_timeout_s)

    async def predict(request: Request) -> Response:
        _check_key(request, key)
        async with gate.admitted():
            data = await _uploaded(request)
            answer = await engine().predict(
                data,
                _request_id(request),
                explain=_flag(request, "explain", True),
                language=_choice(request, "language", get_args(Language)),
                gradcam=_choice(request, "gradcam", get_args(GradCamMethod)),
                layer=request.query_params.get("layer"),
            )
        body = answer.model_dump_json(by_alias=True)
        return Response(body, media_type="application/json", headers={"X-Request-ID": answer.request_id})

    async def explain(request: Request) -> Response:
        _check_key(request, key)
        async with gate.admitted():
            data = await _uploaded(request)
            report = await engine().explain(data, language=_choice(request, "language", get_args(Language)))
        return JSONResponse({"report": report.model_dump(mode="json")})

    async def model(request: Request) -> Response:
        _check_key(request, key)
        return JSONResponse(engine().model.model_dump(mode="json"))

    async def page(_: Request) -> Response:
        return FileResponse(WEB / "index.html", headers=PAGE_HEADERS)

    async def asset(request: Request) -> Response:
        path = WEB / request.path_params["name"]
        # One level of plain names: nothing outside the folder can be asked for.
        if path.parent != WEB or not path.is_file():
            raise HTTPException(404, f"no file {request.path_params['name']!r} here")
        return FileResponse(path, headers=PAGE_HEADERS)

    app = Starlette(
        routes=[
            Route("/", page, methods=["GET"]),
            Route("/web/{name}", asset, methods=["GET"]),
            Route("/model", model, methods=["GET"]),
            Route("/predict", predict, methods=["POST"]),
            Route("/explain", explain, methods=["POST"]),
        ],
        exception_handlers={WBCError: _known, HTTPException: _refused, Exception: _unexpected},
    )
    app.add_middleware(_BodyLimit, max_bytes=settings.max_body_bytes)
    return app


class _Gate:
    """Admits a bounded number of requests, each for a bounded time."""

    def __init__(self, slots: int, timeout_s: float) -> None:
        self.slots, self.timeout_s, self.taken = slots, timeout_s, 0

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        if self.taken >= self.slots:
            raise Overloaded(
                f"{self.slots} requests are in progress, which is all that are accepted; try again in a second"
            )
        self.taken += 1
        try:
            async with asyncio.timeout(self.timeout_s):
                yield
        except TimeoutError:
            raise DeadlineExceeded(f"no answer within {self.timeout_s:g} s; try again later") from None
        finally:
            self.taken -= 1


class _BodyLimit:
    """Refuses bodies past a size, announced or chunked."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = BodyTooLarge(
            f"the request body is larger than {self.max_bytes / 1048576:g} MiB, the most that is read"
        )
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await _answer(refusal)(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise refusal
            return message

        await self.app(scope, counted, send)


async def _uploaded(request: Request) -> bytes:
    """The bytes of the multipart field `file`."""
    content_type = request.headers.get("content-type", "")
    if not content_type.lower().startswith("multipart/form-data"):
        raise InvalidParameter(
            f"received {content_type or 'no content type'}; send multipart/form-data with one field 'file' ({ACCEPTED})"
        )
    try:
        async with request.form(max_files=4, max_fields=16) as form:
            files = form.getlist("file")
            if len(files) == 1 and isinstance(files[0], UploadFile):
                return await files[0].read()
            fields = ", ".join(sorted(set(form.keys()))) or "none"
    except HTTPException as error:  # Starlette's wrapping of a malformed body
        raise InvalidParameter(f"the multipart body is malformed: {error.detail}") from error
    except (ValueError, KeyError, ClientDisconnect) as error:
        raise InvalidParameter(f"the multipart body is malformed or was cut off: {error}") from error
    raise InvalidParameter(
        f"received {len(files)} values of the field 'file' (fields: {fields[:200]}), text or files; "
        f"send one file in it ({ACCEPTED})"
    )


def _check_key(request: Request, key: str | None) -> None:
    given = request.headers.get("x-api-key", "")
    if key is not None and not hmac.compare_digest(given.encode(), key.encode()):
        received = "another key" if given else "no key"
        raise Unauthorized(f"received {received}; this service answers requests whose header X-API-Key has its key")


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", given) else uuid.uuid4().hex


def _flag(request: Request, name: str, default: bool) -> bool:
    value = request.query_params.get(name)
    if value is None:
        return default
    if value.lower() in ("true", "1"):
        return True
    if value.lower() in ("false", "0"):
        return False
    raise InvalidParameter(f"{name}={value[:40]!r}; true or false are accepted")


def _choice(request: Request, name: str, choices: tuple[Choice, ...]) -> Choice:
    value = request.query_params.get(name, choices[0])
    for choice in choices:
        if choice == value:
            return choice
    raise InvalidParameter(f"{name}={value[:40]!r}; {' or '.join(choices)} is accepted")


def _answer(error: WBCError) -> Response:
    headers = {"Retry-After": "1"} if error.status in (429, 503) else None
    body = ErrorAnswer(error=str(error), code=error.code).model_dump()
    return JSONResponse(body, status_code=error.status, headers=headers)


async def _known(_: Request, error: Exception) -> Response:
    assert isinstance(error, WBCError)
    if not isinstance(error, InputError):
        log.warning("%s", json.dumps({"code": error.code, "error": str(error)}))
    return _answer(error)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "invalid_request")
    return JSONResponse({"error": error.detail, "code": code}, status_code=error.status_code, headers=error.headers)


async def _unexpected(_: Request, error: Exception) -> Response:
    log.error("unexpected error", exc_info=error)
    return _answer(WBCError("the service failed on this request; the log says how"))
