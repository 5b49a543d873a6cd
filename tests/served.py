"""A really served process for tests: `bentoml serve` on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import psutil

ROOT = Path(__file__).resolve().parent.parent


class Served:
    """`service:Analyzer` in processes of its own; ready on entry, ended on exit.

    Args:
        folder: where its log goes.
        environment: `WBC_*` variables.

    Attributes:
        url: where it answers.
        unready_statuses: what `/readyz` answered before it was ready.
    """

    def __init__(self, folder: Path, *, ready_within_s: float = 180.0, **environment: str) -> None:
        self.log = folder / "serve.log"
        self.ready_within_s = ready_within_s
        self.environment = environment
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.unready_statuses: set[int] = set()

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "bentoml", "serve", "service:Analyzer", "--host", "127.0.0.1"]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port)],
                cwd=ROOT,
                env={**os.environ, "BENTOML_DO_NOT_TRACK": "True", **self.environment},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + self.ready_within_s
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                status = httpx.get(f"{self.url}/readyz", timeout=5).status_code
            except httpx.TransportError:
                status = 0
            if status == 200:
                return self
            self.unready_statuses.add(status)
            time.sleep(0.3)
        self._end()
        raise RuntimeError(
            f"the server was not ready within {self.ready_within_s:g} s:\n{self.log.read_text()[-4000:]}"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def kill(self) -> None:
        """Kill every process of the server at once, as the kernel does when memory runs out."""
        supervisor = psutil.Process(self.process.pid)
        for process in (supervisor, *supervisor.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(20)

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
