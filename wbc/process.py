"""Ordered shutdown: keep dependency services alive until the entry service exits."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil

POLL_S = 0.1


def delay_shutdown(entry: str, max_delay_s: float) -> None:
    """Delay SIGTERM and SIGINT in this process until the process of another service has exited.

    BentoML's supervisor deletes the folder of the sockets and passes a signal to the processes of all services at once.
    A service that exited at once, or could no longer be reached, would fail the requests that the entry still has in
    progress. Call it in the running event loop, after the server has installed its own handlers; these run in the end.

    Args:
        entry: name of the service that has to exit first, in a sibling process.
        max_delay_s: maximum delay.
    """
    loop, supervisor = asyncio.get_running_loop(), psutil.Process().parent()
    link = None if (path := _own_socket()) is None else _SocketLink(path)
    waiting: set[asyncio.Task[None]] = set()

    async def wait(signum: signal.Signals, handler: object) -> None:
        end = loop.time() + max_delay_s
        while supervisor is not None and _is_running(entry, supervisor) and loop.time() < end:
            if link is not None:
                link.restore()
            await asyncio.sleep(POLL_S)
        if link is not None:
            link.remove()
        if callable(handler):
            handler(signum, None)

    def begin(signum: signal.Signals, handler: object) -> None:
        if not waiting:  # a terminal and the supervisor both send a signal
            waiting.add(loop.create_task(wait(signum, handler)))

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, begin, signum, signal.getsignal(signum))


class _SocketLink:
    """A second hard link to a listening socket, from which a deleted path can be restored.

    Args:
        path: path of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._link = path.parent.with_name(f"{path.parent.name}-kept") / path.name
        self._link.parent.mkdir(mode=0o700, exist_ok=True)
        self._link.unlink(missing_ok=True)  # left by an earlier process
        os.link(path, self._link)

    def restore(self) -> None:
        """Link the path again if it was deleted."""
        if not self._path.exists():
            with suppress(OSError):  # the folder may be deleted at this moment; the next poll tries again
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                os.link(self._link, self._path)

    def remove(self) -> None:
        """Delete both links, and their folders once they are empty."""
        for path in (self._path, self._link):
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or deleted by another process
                path.parent.rmdir()


def _own_socket() -> Path | None:
    """Return the path of the Unix socket that this process listens on; None if it listens on a port."""
    for option, value in pairwise(sys.argv):
        if option == "--fd":
            with socket.socket(fileno=os.dup(int(value))) as listening:
                path = listening.getsockname()
            return Path(path) if isinstance(path, str) and path else None
    return None


def _is_running(service: str, supervisor: psutil.Process) -> bool:
    """Return true if a child of the supervisor serves the service."""
    try:
        children = supervisor.children()
    except psutil.NoSuchProcess:
        return False
    for child in children:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if ("--service-name", service) in pairwise(child.cmdline()):
                return True
    return False
