"""All bad requests in one list, and the check of a response to each."""

from __future__ import annotations

import json
from functools import lru_cache

from tests.robustness.bad_images import bad_images, black
from tests.robustness.bad_requests import BadRequest, bad_requests
from tests.robustness.wire import CLOSED, Answer, send, upload
from wbc.settings import REPOSITORY

DEADLINE_S = 20.0
"""Of one case; most take milliseconds, and only a hang takes so long."""
INSIDE = ("Traceback", "site-packages", 'File "', str(REPOSITORY))
"""Internal details that no response may contain."""


@lru_cache(maxsize=1)
def corpus() -> tuple[BadRequest, ...]:
    """Every bad image as an upload to `POST /predict`, and every bad request."""
    images = (BadRequest(f"image: {image.name}", upload(image.data), image.statuses) for image in bad_images())
    return (*images, *bad_requests())


@lru_cache(maxsize=1)
def large_upload() -> bytes:
    """Create a request with the largest accepted image."""
    return upload(black())


def tried(port: int, case: BadRequest) -> tuple[Answer | None, str | None]:
    """Send a case; return its response and the fault in it, each None if there is none."""
    try:
        answer = send(port, case.payload, deadline_s=DEADLINE_S, half_close=case.half_close, method=case.method)
    except TimeoutError:
        return None, f"{case.name}: no answer within {DEADLINE_S:g} s"
    wrong = complaint(case, answer)
    return answer, f"{case.name}: {wrong}" if wrong else None


def complaint(case: BadRequest, answer: Answer) -> str | None:
    """Describe the fault of a response; None if it has none."""
    text = answer.body.decode("utf-8", "replace")
    if answer.status not in case.statuses:
        return f"answered {answer.status or 'nothing'}, not {sorted(case.statuses)}: {text[:200]}"
    if answer.seconds > DEADLINE_S:
        return f"took {answer.seconds:.1f} s"
    if leaked := {"set-cookie", "x-injected"} & answer.headers.keys():
        return f"the answer has the injected headers {sorted(leaked)}"
    if any(word in text for word in INSIDE):
        return f"the answer shows the server's inside: {text[:200]}"
    if answer.status in (200, CLOSED) or case.method == "HEAD" or not case.parsed:
        return None
    return schema_complaint(answer)


def schema_complaint(answer: Answer) -> str | None:
    """Return the reason why an error response violates the error schema; None if it does not."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return f"{answer.status} answered as {answer.headers.get('content-type')}: {answer.body[:100]!r}"
    try:
        body = answer.json()
    except json.JSONDecodeError:
        return f"{answer.status} answered with no JSON: {answer.body[:100]!r}"
    if not isinstance(body, dict) or set(body) != {"error", "code"} or not all(body.values()):
        return f"{answer.status} answered with another schema: {answer.body[:100]!r}"
    if answer.status in (429, 503) and "retry-after" not in answer.headers:
        return f"{answer.status} answered without Retry-After"
    return None
