"""The order of going: what the entry asks is there until the entry is gone."""

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


def outlive(entry: str, longest_s: float) -> None:
    """Let SIGTERM and SIGINT wait, in this process of a service, until the process of another service is gone.

    BentoML's supervisor takes away the sockets' folder and passes a signal to the processes of all services at once. A
    service that went at once, or could no longer be connected to, would fail the requests that the entry still has in
    hand and comes with afterwards. Called while the event loop runs, after the server has installed its own handlers;
    these are called in the end.

    Args:
        entry: name of the service that has to go first; a sibling process.
        longest_s: after which this one goes all the same.
    """
    loop, supervisor = asyncio.get_running_loop(), psutil.Process().parent()
    name = None if (path := _own_socket()) is None else _LastingName(path)
    waiting: set[asyncio.Task[None]] = set()

    async def wait(signum: signal.Signals, usual: object) -> None:
        end = loop.time() + longest_s
        while supervisor is not None and _runs(entry, supervisor) and loop.time() < end:
            if name is not None:
                name.restore()
            await asyncio.sleep(POLL_S)
        if name is not None:
            name.remove()
        if callable(usual):
            usual(signum, None)

    def begin(signum: signal.Signals, usual: object) -> None:
        # Once: a terminal and the supervisor both send theirs.
        if not waiting:
            waiting.add(loop.create_task(wait(signum, usual)))

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, begin, signum, signal.getsignal(signum))


class _LastingName:
    """A second name of a listening socket, by which its first can be made again once it was taken away.

    Args:
        path: the first name.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._folder = path.parent.with_name(f"{path.parent.name}-kept")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._kept = self._folder / path.name
        self._kept.unlink(missing_ok=True)  # of a process before this one
        os.link(path, self._kept)

    def restore(self) -> None:
        """Make the first name again, where it is gone."""
        if not self._path.exists():
            with suppress(OSError):  # the folder may be going at this very moment; the next look makes it again
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                os.link(self._kept, self._path)

    def remove(self) -> None:
        """Take both names away, and the folders once they are empty."""
        for name in (self._path, self._kept):
            name.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or another process was first
                name.parent.rmdir()


def _own_socket() -> Path | None:
    """Path of the Unix socket that this process was started to listen on; None where it listens on a port."""
    for word, value in pairwise(sys.argv):
        if word == "--fd":
            with socket.socket(fileno=os.dup(int(value))) as listening:
                name = listening.getsockname()
            return Path(name) if isinstance(name, str) and name else None
    return None


def _runs(service: str, supervisor: psutil.Process) -> bool:
    """Whether a child of the supervisor serves a service."""
    try:
        children = supervisor.children()
    except psutil.NoSuchProcess:
        return False
    for child in children:
        try:
            words = child.cmdline()
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if ("--service-name", service) in pairwise(words):
            return True
    return False
