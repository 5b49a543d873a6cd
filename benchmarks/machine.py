"""Description of the machine, the package versions and the commit that a benchmark ran on."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict

from wbc.inference import cpu_quota
from wbc.machine import package_versions, processor_name
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


class Machine(BaseModel):
    """Machine and software of a benchmark.

    Attributes:
        started: UTC, ISO 8601.
        cpu: model name of the processor.
        cores: CPU quota of this process.
        load_average: mean number of runnable processes over the minute before; near 0 on an idle machine.
        platform: operating system and architecture.
        versions: of Python and of the installed packages among `VERSIONED`.
        commit: of the repository; None outside one.
        modified: true if tracked files differ from that commit.
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
        """Describe this machine as it is now."""
        commit, changes = _run_git("rev-parse", "HEAD"), _run_git("status", "--porcelain", "--untracked-files=no")
        return cls(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            cpu=processor_name(),
            cores=cpu_quota(),
            load_average=round(os.getloadavg()[0], 2),
            platform=f"{platform.system()} {platform.machine()}",
            versions=package_versions(VERSIONED),
            commit=commit,
            modified=None if changes is None else bool(changes),
        )


def _run_git(*arguments: str) -> str | None:
    """Return the output of a git command in this repository; None without git or outside a repository."""
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
