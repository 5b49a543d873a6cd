"""Calls from the entry service to the services that it depends on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp

from wbc.errors import ModelError, NotReady, Overloaded

RECONNECT_AFTER_S = 0.5
"""Delay before the second attempt: longer than a stopping process takes to restore its socket (`wbc.process`)."""


class Sibling:
    """A dependency service of the entry; its failures are raised as errors of `wbc.errors`.

    Args:
        name: name in error messages.
        proxy: returns the BentoML client; called on each use, since BentoML connects lazily.
        remote_error: exception of an error response; its `error_code` is an HTTP status.
    """

    def __init__(self, name: str, proxy: Callable[[], Any], remote_error: type[Exception]) -> None:
        self.name, self._proxy, self._remote_error = name, proxy, remote_error

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call an idempotent method, with one retry if the connection breaks.

        A connection breaks when the other side closes an idle one, or when its process was killed and is restarted.

        Raises:
            Overloaded: the service refused the call.
            ModelError: the service failed.
            NotReady: the service cannot be reached.
        """
        try:
            try:
                return await getattr(self._proxy().to_async, method)(*args, **kwargs)
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(RECONNECT_AFTER_S)
                return await getattr(self._proxy().to_async, method)(*args, **kwargs)
        except self._remote_error as error:
            if getattr(error, "error_code", 500) in (429, 503):
                raise Overloaded(f"{self.name} is overloaded; try again in a second") from error
            raise ModelError(f"{self.name} failed on this image; see the log") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotReady(f"{self.name} cannot be reached; it is starting or restarting") from error

    async def is_ready(self, timeout_s: float) -> bool:
        """Return true if the service responds in time."""
        try:
            async with asyncio.timeout(timeout_s):
                return bool(await self._proxy().is_ready(timeout_s))
        except (OSError, aiohttp.ClientError, self._remote_error):
            return False
