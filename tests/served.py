"""A really served process for tests: `bentoml serve` on a free port of the loopback interface."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

from benchmarks.server import SOURCE_TREE, Product

ROOT = Path(__file__).resolve().parent.parent


class Served(Product):
    """The product in processes of its own, which a test may kill.

    Args:
        folder: where its log goes.
        target: what is served: the source tree, or the folder or tag of a built Bento.
        ready_within_s: longest wait until `/readyz` answers 200.
        environment: `WBC_*` variables.
    """

    def __init__(
        self, folder: Path, *, target: str = SOURCE_TREE, ready_within_s: float = 180.0, **environment: str
    ) -> None:
        super().__init__(folder, environment, target=target, ready_within_s=ready_within_s)

    def kill(self) -> None:
        """Kill every process of the server at once, as the kernel does when memory runs out."""
        supervisor = psutil.Process(self.process.pid)
        for process in (supervisor, *supervisor.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(20)
