"""Every bad upload against a really served process: never a 5xx, never a hang, one schema of errors, memory flat."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.robustness.bad_images import bad_images, picture, saved
from tests.robustness.bad_requests import BadRequest, bad_requests
from tests.robustness.corpus import corpus, large_upload, schema_complaint, tried
from tests.robustness.processes import resident_bytes
from tests.robustness.wire import request, send, upload
from tests.served import Served

GROWTH = 1.05
"""Most that memory may grow by in a round over all cases, once warm."""


@pytest.fixture(scope="module")
def before(server: Served) -> dict[str, Any]:
    """Response to a sound image before any bad request."""
    return good(server)


def good(server: Served) -> dict[str, Any]:
    """The response to a valid image, without the fields that differ in each response."""
    answer = send(server.port, upload(saved(picture(), "PNG")))
    assert answer.status == 200, answer.body[:300]
    return {key: value for key, value in answer.json().items() if key not in ("request_id", "timings_ms")}


def test_corpus_is_large_named_and_the_same_each_time() -> None:
    names = [case.name for case in corpus()]
    assert len(names) == len(set(names)) >= 400
    assert len(bad_images()) >= 200
    assert not any(status >= 500 for case in corpus() for status in case.statuses)
    assert bad_images.__wrapped__() == bad_images()
    assert bad_requests.__wrapped__() == bad_requests()


@pytest.mark.parametrize(
    "group", ["image", "file name", "multipart", "content type", "length", "method", "target", "query", ""]
)
def test_every_case_is_answered_as_it_should(server: Served, before: dict[str, Any], group: str) -> None:
    complaints = [wrong for case in _group(group) if (wrong := tried(server.port, case)[1])]
    assert not complaints, "\n".join(complaints)
    assert good(server) == before


def test_memory_is_flat(server: Served, before: dict[str, Any]) -> None:
    # Every case was sent once, by the tests above. The largest image is warmed up in each thread that decodes: the
    # allocator keeps a part of what it took.
    with ThreadPoolExecutor(4) as callers:
        list(callers.map(lambda _: send(server.port, large_upload(), deadline_s=60), range(8)))
    warm = resident_bytes(server)
    for case in corpus():
        tried(server.port, case)
    grown = resident_bytes(server) / warm
    assert grown < GROWTH, f"{warm / 1e6:.0f} MB grew by a factor of {grown:.3f}"
    assert good(server) == before


def test_answer_reaches_a_client_that_is_still_sending(server: Served) -> None:
    """A server that closes with unread bytes resets the connection, and the client never sees why."""
    body = bytes(8 << 20)
    for _ in range(5):
        answer = send(server.port, request(body, headers=("Content-Type: image/png",)), to_the_end=True)
        assert answer.status == 400, "the answer was lost"
        assert schema_complaint(answer) is None


def _group(name: str) -> list[BadRequest]:
    named = ("image", "file name", "multipart", "content type", "length", "method", "target", "query")
    if name:
        return [case for case in corpus() if case.name.startswith(f"{name}:")]
    return [case for case in corpus() if not case.name.startswith(tuple(f"{other}:" for other in named))]
