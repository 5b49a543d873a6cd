"""Base class of providers that use an SDK.

The SDK is imported in a thread when the provider is first used or warmed up; a process without providers imports none.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from wbc.explain.exchange import Answer, ProviderError, Request

Client = TypeVar("Client")


class SDKProvider(ABC, Generic[Client]):
    """Base class: creates a client on first use, once per event loop, and converts the exceptions of the SDK."""

    module: ClassVar[str]
    """Module of the SDK."""

    name: str

    def __init__(self) -> None:
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @abstractmethod
    def _create_client(self) -> Client: ...

    @abstractmethod
    async def _close(self, client: Client) -> None: ...

    @abstractmethod
    async def _send(self, client: Client, request: Request) -> Answer: ...

    @abstractmethod
    def _explain(self, error: Exception) -> str | None:
        """Return the reason for an exception of the SDK; None if it is not one."""

    async def ask(self, request: Request) -> Answer:
        client = await self._get_client()
        try:
            return await self._send(client, request)
        except ProviderError:
            raise
        except Exception as error:
            # The SDKs do not wrap errors of their decoders, and fail on a body of another shape.
            unread = isinstance(error, ValueError | TypeError | AttributeError | IndexError)
            reason = self._explain(error) or ("malformed" if unread else None)
            if reason is None:
                raise
            raise ProviderError(reason) from None

    async def warm_up(self) -> None:
        await self._get_client()

    async def aclose(self) -> None:
        client = self._client if self._loop is asyncio.get_running_loop() else None
        self._client = self._loop = None
        if client is not None:
            await self._close(client)

    async def _get_client(self) -> Client:
        # Importing an SDK takes seconds; in a thread it does not block other requests.
        if self._client is None:
            await asyncio.to_thread(__import__, self.module)
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:  # the connections of a client belong to one event loop
            self._client, self._loop = self._create_client(), loop
        return self._client


def reason_of_status(status: int) -> str:
    """Return the reason for an HTTP error status."""
    if status in (401, 403):
        return "unauthorized"
    if status in (408, 504):
        return "timeout"
    if status == 429:
        return "rate_limited"
    return "server_error" if status >= 500 else "rejected"
