"""Answers that reach a client which is still sending."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wbc.errors import UploadTimeout

LONGEST_S = 5.0


class Draining:
    """ASGI middleware that reads what is left of a body before an answer, where the connection is closed after it.

    A socket that is closed with unread bytes is reset, and a client that is still sending never sees why it was
    refused. Connections that are kept need none of this: the server reads the rest after the answer.

    Args:
        app: what answers.
        max_bytes: most that is read; past it, or past `LONGEST_S`, the answer goes out all the same. An upload that was
            given up is not waited for again.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not _closed_after(scope):
            await self.app(scope, receive, send)
            return
        more, dropped = True, 0

        async def followed() -> Message:
            nonlocal more
            message = await receive()
            more = message.get("more_body", False)
            return message

        async def sent(message: Message) -> None:
            nonlocal dropped
            if message["type"] == "http.response.start" and message["status"] != UploadTimeout.status:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LONGEST_S):
                        while more and dropped < self.max_bytes:
                            dropped += len((await followed()).get("body", b""))
            await send(message)

        await self.app(scope, followed, sent)


def _closed_after(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if headers.get("expect", "").lower() == "100-continue":
        return False  # such a client sends nothing before it is told to
    connection = headers.get("connection", "").lower()
    return "close" in connection or (scope["http_version"] == "1.0" and "keep-alive" not in connection)
