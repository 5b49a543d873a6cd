"""What a benchmark ran on: the machine, the versions, the commit."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from wbc.inference import cpu_quota
from wbc.settings import REPOSITORY

VERSIONED = (
    "bentoml",
    "keras",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "opencv-python-headless",
    "pillow",
    "starlette",
    "tensorflow",
    "wbc",
)
"""Packages whose version a result notes, where they are installed."""


class Machine(BaseModel):
    """What a benchmark ran on.

    Attributes:
        started: UTC, ISO 8601.
        cpu: model name of the processor.
        cores: that this process may use.
        load_average: mean number of runnable processes over the minute before; a quiet machine is near 0.
        platform: operating system and architecture.
        versions: of Python and the packages.
        commit: of the repository; None outside one.
        modified: whether files under version control differ from that commit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    started: str
    cpu: str
    cores: int
    load_average: float
    platform: str
    versions: dict[str, str]
    commit: str | None
    modified: bool | None

    @classmethod
    def here(cls) -> Machine:
        """This machine, now."""
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no")
        return cls(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            cpu=_cpu(),
            cores=cpu_quota(),
            load_average=round(os.getloadavg()[0], 2),
            platform=f"{platform.system()} {platform.machine()}",
            versions=_versions(),
            commit=commit,
            modified=None if changes is None else bool(changes),
        )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in VERSIONED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str | None:
    """What git says of this repository; None without git or outside a repository."""
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
