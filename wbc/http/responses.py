"""Errors as answers, and the headers that every answer has."""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from wbc.errors import UploadTimeout, WBCError
from wbc.schemas import ErrorAnswer

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
"""Of the page and its files."""

DEFAULT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Of every answer that does not set them itself."""


def json_answer(answer: BaseModel) -> Response:
    """A 200 with an answer of `wbc.schemas`."""
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


def error_answer(error: WBCError) -> ErrorAnswer:
    """The body that an error answers with."""
    return ErrorAnswer(error=str(error), code=error.code)


def error_response(error: WBCError) -> Response:
    """The answer to a request that failed."""
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = "1"
    if isinstance(error, UploadTimeout):
        headers["Connection"] = "close"  # the rest of the body may never come
    return JSONResponse(error_answer(error).model_dump(), status_code=error.status, headers=headers)
