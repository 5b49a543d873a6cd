"""Convert answers and errors into responses, and define the default headers."""

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
"""Headers of the page and its files."""

DEFAULT_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
"""Headers of every response that does not set them itself."""


def json_answer(answer: BaseModel) -> Response:
    """Return a 200 response with an answer of `wbc.schemas`."""
    return Response(answer.model_dump_json(by_alias=True), media_type="application/json")


def error_response(error: WBCError) -> Response:
    """Return the response to a request that failed."""
    headers = {}
    if error.status in (429, 503):
        headers["Retry-After"] = "1"
    if isinstance(error, UploadTimeout):
        headers["Connection"] = "close"  # the rest of the body may never come
    return JSONResponse(ErrorAnswer.of(error).model_dump(), status_code=error.status, headers=headers)
