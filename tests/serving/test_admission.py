"""Limits on uploads and on work, with slow uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.serving.scripted import ScriptedEngine
from wbc.errors import Overloaded
from wbc.http import create_app
from wbc.http.admission import Admission
from wbc.settings import Settings

HEADERS = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
WHOLE = HEAD + b"Monocyte\r\n--b--\r\n"
SLOW = HEAD + b"slow\r\n--b--\r\n"


def served(scenario: Callable[[httpx.AsyncClient], Awaitable[None]], **changed: Any) -> None:
    """Run a scenario against the application."""

    async def run() -> None:
        engine = ScriptedEngine()
        transport = httpx.ASGITransport(create_app(lambda: engine, Settings(**changed)))
        async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=HEADERS) as client:
            await scenario(client)

    asyncio.run(run())


async def stalled() -> AsyncIterator[bytes]:
    yield HEAD
    await asyncio.sleep(30)


async def begun(*requests: Awaitable[httpx.Response]) -> list[asyncio.Task[httpx.Response]]:
    """Start requests."""
    tasks = [asyncio.ensure_future(request) for request in requests]
    await asyncio.sleep(0.05)
    return tasks  # type: ignore[return-value]


async def cancelled(tasks: list[asyncio.Task[httpx.Response]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_stalled_upload_takes_nothing_from_others() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        tasks = await begun(*(client.post("/predict", content=stalled()) for _ in range(3)))
        assert (await client.post("/predict", content=WHOLE)).status_code == 200
        await cancelled(tasks)

    served(scenario, max_concurrency=1, max_uploads=4)


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/explain"])
def test_stalled_upload_is_given_up(path: str) -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        response = await client.post(path, content=stalled())
        assert (response.status_code, response.json()["code"]) == (408, "upload_timeout")
        assert "0.1 s" in response.json()["error"]
        assert response.headers["connection"] == "close"

    served(scenario, upload_timeout_s=0.1)


def test_uploads_are_bounded() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        tasks = await begun(*(client.post("/predict", content=stalled()) for _ in range(2)))
        response = await client.post("/predict", content=WHOLE)
        assert (response.status_code, response.headers["retry-after"]) == (429, "1")
        assert "2 of 2 uploads" in response.json()["error"]
        await cancelled(tasks)
        assert (await client.post("/predict", content=WHOLE)).status_code == 200

    served(scenario, max_uploads=2)


def test_overload_is_refused_before_the_body_is_read() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        tasks = await begun(client.post("/predict", content=SLOW), client.post("/predict", content=SLOW))

        async def untouched() -> AsyncIterator[bytes]:
            raise AssertionError("the body was read")
            yield b""

        for path in ("/predict", "/explain", "/predict/batch"):
            response = await client.post(path, content=untouched())
            assert (response.status_code, response.json()["code"]) == (429, "overloaded")
            assert "2 of 2 images" in response.json()["error"]
        await cancelled(tasks)
        assert (await client.post("/predict", content=WHOLE)).status_code == 200

    served(scenario, max_concurrency=2)


def test_batches_leave_half_of_the_places_to_single_requests() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        many = HEAD + b"slow" + b"".join(b"\r\n" + HEAD + b"slow" for _ in range(9)) + b"\r\n--b--\r\n"
        tasks = await begun(*(client.post("/predict/batch", content=many) for _ in range(3)))
        refused = [task.result() for task in tasks if task.done()]
        assert [response.status_code for response in refused] == [429]
        assert "2 of 2 batches" in refused[0].json()["error"]
        for _ in range(20):
            assert (await client.post("/predict", content=WHOLE)).status_code == 200
        await cancelled(tasks)

    served(scenario, max_concurrency=32)


def test_batch_waits_for_no_place_of_single_requests() -> None:
    async def scenario(client: httpx.AsyncClient) -> None:
        tasks = await begun(*(client.post("/predict", content=SLOW) for _ in range(3)))
        assert (await client.post("/predict/batch", content=WHOLE)).status_code == 429
        assert (await client.post("/predict", content=WHOLE)).status_code == 200
        await cancelled(tasks)

    served(scenario, max_concurrency=4)


@pytest.mark.parametrize("places", [1, 2, 3, 7, 8, 16, 64, 1000])
def test_batches_take_at_most_half(places: int) -> None:
    admission = Admission(Settings(max_concurrency=places))
    assert 1 <= admission.fan_out * admission.batches.count <= max(1, places // 2)


def test_places_come_back_after_a_failure() -> None:
    async def failing(admission: Admission) -> None:
        async with admission.admit_work():
            with pytest.raises(Overloaded):
                admission.images.check()
            raise RuntimeError

    async def scenario() -> None:
        admission = Admission(Settings(max_concurrency=1))
        for _ in range(3):
            with pytest.raises(RuntimeError):
                await failing(admission)

    asyncio.run(scenario())
