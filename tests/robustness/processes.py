"""The processes of a served product: the supervisor and a worker a service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psutil

from tests.served import Served


def processes(server: Served) -> list[psutil.Process]:
    """The supervisor and all of its descendants."""
    supervisor = psutil.Process(server.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def resident_bytes(server: Served) -> int:
    """Resident memory of all processes of the server together."""
    return sum(_resident(server))


def worker(server: Served, service: str) -> psutil.Process | None:
    """The process that runs one service; None while there is none."""
    for process in processes(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            if "--service-name" in words and words[words.index("--service-name") + 1] == service:
                return process
    return None


def _resident(server: Served) -> Iterator[int]:
    for process in processes(server):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield process.memory_info().rss
