"""Responses on a connection that is closed while the client is still sending."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from wbc.http.drain import DrainMiddleware


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond without reading the body."""
    await send({"type": "http.response.start", "status": scope["status"], "headers": []})
    await send({"type": "http.response.body", "body": b""})


def read(chunks: int, *headers: tuple[bytes, bytes], status: int = 429, version: str = "1.1") -> int:
    """Return the number of 10-byte chunks that are read before the response."""
    taken = 0

    async def receive() -> Message:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": bytes(10), "more_body": taken < chunks}

    async def send(message: Message) -> None:
        pass

    scope: dict[str, Any] = {"type": "http", "http_version": version, "headers": headers, "status": status}
    asyncio.run(DrainMiddleware(refuse, max_bytes=50)(scope, receive, send))
    return taken


CLOSE = (b"connection", b"close")


@pytest.mark.parametrize(
    ("chunks", "headers", "status", "version", "taken"),
    [
        (3, (CLOSE,), 429, "1.1", 3),
        (3, (), 429, "1.1", 0),
        (3, (), 429, "1.0", 3),
        (3, ((b"connection", b"Keep-Alive"),), 429, "1.0", 0),
        (100, (CLOSE,), 429, "1.1", 5),
        (3, (CLOSE, (b"expect", b"100-continue")), 429, "1.1", 0),
        (3, (CLOSE,), 408, "1.1", 0),
    ],
    ids=["closed", "kept", "1.0 closed", "1.0 kept", "bounded", "waits to be told", "given up"],
)
def test_reads_what_is_left_where_the_connection_closes(
    chunks: int, headers: tuple[tuple[bytes, bytes], ...], status: int, version: str, taken: int
) -> None:
    assert read(chunks, *headers, status=status, version=version) == taken
