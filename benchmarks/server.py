"""HTTP servers run as subprocesses on a free port of the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from wbc.errors import NotReady
from wbc.settings import REPOSITORY

SOURCE_TREE = "service:Analyzer"


class Server:
    """Context manager that starts a command in its own process group, waits until it is ready, and ends it on exit.

    `{port}` in the command is replaced by a free port; the output goes to `log`. The server is ready when `ready_path`
    returns 200; `unready_statuses` are the statuses before that, 0 for no connection.

    Raises:
        NotReady: on entry, if the command ended or was not ready in time; the message contains the end of its log.
    """

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        directory: Path = REPOSITORY,
        ready_path: str = "/readyz",
        ready_within_s: float = 180.0,
    ) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [word.replace("{port}", str(self.port)) for word in command]
        self.log, self.environment, self.directory = log, dict(environment or {}), directory
        self.ready_path, self.ready_within_s = ready_path, ready_within_s
        self.unready_statuses: set[int] = set()
        self.process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        # env(1) adds the variables: only wbc/settings.py reads the environment.
        added = [f"{name}={value}" for name, value in self.environment.items()]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                ["env", *added, *self.command],
                cwd=self.directory,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.ready_within_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                status = httpx.get(f"{self.url}{self.ready_path}", timeout=5).status_code
            except httpx.TransportError:
                status = 0
            if status == 200:
                return
            self.unready_statuses.add(status)
            time.sleep(0.3)
        raise NotReady(f"the server was not ready within {self.ready_within_s:g} s:\n{self.log.read_text()[-4000:]}")

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)


class Product(Server):
    """The product, started by `bentoml serve`, with its log and the state of BentoML in `folder`.

    `target` is the source tree, or the folder or tag of a built Bento.
    """

    def __init__(
        self,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        target: str = SOURCE_TREE,
        ready_within_s: float = 180.0,
    ) -> None:
        super().__init__(
            [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", "{port}"],
            folder / "serve.log",
            # A separate home: BentoML keeps the metrics of a running server there and deletes them at the next start.
            {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder / "bentoml"), **(environment or {})},
            directory=REPOSITORY if target == SOURCE_TREE else folder,
            ready_within_s=ready_within_s,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
