"""Calls to other services: one retry, and every failure as an error of this package."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest

from wbc.errors import ModelError, NotReady, Overloaded, WBCError
from wbc.serving import sibling
from wbc.serving.sibling import Sibling


class RemoteError(Exception):
    def __init__(self, error_code: int) -> None:
        super().__init__(f"remote {error_code}")
        self.error_code = error_code


class Remote:
    """A client whose calls fail with the given errors first."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0
        self.to_async = SimpleNamespace(double=self._double)

    async def _double(self, value: int) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return 2 * value

    async def is_ready(self, timeout_s: float) -> bool:
        if self.errors:
            raise self.errors.pop(0)
        await asyncio.sleep(0 if self.calls else timeout_s * 2)
        return True


@pytest.fixture(autouse=True)
def _no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sibling, "RECONNECT_AFTER_S", 0)


def call(remote: Remote) -> Any:
    return asyncio.run(Sibling("classifier", lambda: remote, RemoteError).call("double", 4))


@pytest.mark.parametrize("broken", [aiohttp.ServerDisconnectedError(), aiohttp.ClientConnectionError()])
def test_a_broken_connection_is_retried_once(broken: Exception) -> None:
    remote = Remote(broken)
    assert (call(remote), remote.calls) == (8, 2)
    remote = Remote(broken, broken)
    with pytest.raises(NotReady, match="classifier"):
        call(remote)
    assert remote.calls == 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RemoteError(429), Overloaded),
        (RemoteError(503), Overloaded),
        (RemoteError(500), ModelError),
        (aiohttp.ClientPayloadError(), NotReady),
        (FileNotFoundError("socket"), NotReady),
        (TimeoutError(), NotReady),
    ],
)
def test_failures_become_errors_of_this_package(error: Exception, expected: type[WBCError]) -> None:
    remote = Remote(error)
    with pytest.raises(expected, match="classifier") as raised:
        call(remote)
    assert remote.calls == 1
    assert "remote" not in str(raised.value)


@pytest.mark.parametrize("error", [RemoteError(503), aiohttp.ClientConnectionError(), FileNotFoundError("socket")])
def test_readiness(error: Exception) -> None:
    remote = Remote(error)
    ready = Sibling("classifier", lambda: remote, RemoteError).is_ready
    assert not asyncio.run(ready(1)), "fails"
    assert not asyncio.run(ready(0.01)), "too slow"
    remote.calls = 1
    assert asyncio.run(ready(1))
