"""Middleware that drains the request body before a response on a connection that will be closed."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wbc.errors import UploadTimeout

MAX_DRAIN_S = 5.0


class DrainMiddleware:
    """Reads the rest of a body before the response if the connection is closed afterwards.

    Closing a socket with unread bytes resets the connection, and a client that is still sending never sees the
    response. On connections that are kept alive the server reads the rest after the response.

    Args:
        app: the application.
        max_bytes: maximum number of bytes to read; beyond it, or after `MAX_DRAIN_S`, the response is sent anyway.
            Uploads that timed out are not drained.
    """

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app, self.max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if scope["type"] != "http" or not _is_closed_after(scope):
            await self.app(scope, receive, send)
            return
        more, dropped = True, 0

        async def track_body() -> Message:
            nonlocal more
            message = await receive()
            more = message.get("more_body", False)
            return message

        async def send_drained(message: Message) -> None:
            nonlocal dropped
            if message["type"] == "http.response.start" and message["status"] != UploadTimeout.status:
                with suppress(TimeoutError):
                    async with asyncio.timeout(MAX_DRAIN_S):
                        while more and dropped < self.max_bytes:
                            dropped += len((await track_body()).get("body", b""))
            await send(message)

        await self.app(scope, track_body, send_drained)


def _is_closed_after(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    if headers.get("expect", "").lower() == "100-continue":
        return False  # such a client sends no body before it is told to
    connection = headers.get("connection", "").lower()
    return "close" in connection or (scope["http_version"] == "1.0" and "keep-alive" not in connection)
