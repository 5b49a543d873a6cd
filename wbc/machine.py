"""The machine and software that a result was computed with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from wbc.cpu import cpu_quota
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
        commit, modified = _describe_commit()
        return cls(
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            cpu=processor_name(),
            cores=cpu_quota(),
            load_average=round(os.getloadavg()[0], 2),
            platform=f"{platform.system()} {platform.machine()}",
            versions=package_versions(VERSIONED),
            commit=commit,
            modified=modified,
        )


def processor_name() -> str:
    """Return the processor's model name, or its architecture if the system does not report a name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of each of the named packages that is installed."""
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _describe_commit() -> tuple[str | None, bool | None]:
    """Return the commit and true if tracked files differ from it; None for both outside a repository."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None, None
    return described.removesuffix("-dirty"), described.endswith("-dirty")
