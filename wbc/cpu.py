"""CPU cores available to this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def cpu_quota() -> int:
    """Return the number of usable cores, at least 1: the process affinity, capped by the control group quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if CGROUP_LIMIT.is_file():
        quota, period = CGROUP_LIMIT.read_text().split()
        if quota != "max":
            cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def serving_threads(threads: int = 0) -> int:
    """Return the number of threads of a forward pass in the service.

    Args:
        threads: number requested; 0 takes half of the CPU quota, at least 1: decoding, filtering and encoding cost
            about as much as the forward pass and need the other half (docs/performance.md).
    """
    return threads or max(1, cpu_quota() // 2)
