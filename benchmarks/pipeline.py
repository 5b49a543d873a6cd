"""Throughput of training's input pipeline, alone and with the training steps, measured by `wbc data speed`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.cells import SIDE, write_splits
from benchmarks.options import PipelineOptions
from benchmarks.record import PipelineResult
from wbc.errors import DataError
from wbc.machine import Machine

VARIANT = "v1"


def measure_pipeline(options: PipelineOptions, machine: Machine, log: Callable[[str], None]) -> PipelineResult:
    """Measure the pipeline at each image size, in a process of its own.

    Raises:
        DataError: `wbc data speed` failed.
    """
    sizes, batch_size, steps, per_class = ((64,), 4, 1, 4) if options.quick else ((112, 224), 32, 4, 40)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = options.data_root or folder / "cells"
        if options.data_root is None:
            write_splits(root, per_class)
        speeds = []
        for size in sizes:
            log(f"training at {size} pixels")
            speeds.append({"img_size": size, **_measure_size(root, size, batch_size, steps, folder)})
    drawn = f"{5 * per_class} drawn cells, JPEG, {SIDE}x{SIDE} pixels"
    return PipelineResult(
        command="wbc bench pipeline",
        quick=options.quick,
        machine=machine,
        images=drawn if options.data_root is None else f"Train of {options.data_root.name}",
        variant=VARIANT,
        batch_size=batch_size,
        sizes=speeds,
    )


def _measure_size(root: Path, size: int, batch_size: int, steps: int, folder: Path) -> dict[str, float]:
    options = {
        "data-root": root.resolve(),
        "img-size": size,
        "batch-size": batch_size,
        "epoch-size": (steps + 1) * batch_size,
        "steps": steps,
        "preprocessing": VARIANT,
        "cache-dir": folder / "cache",
        # The weights do not affect the speed, but pretrained ones would freeze batch normalisation.
        "weights": "none",
        "batch-norm": "frozen",
        "output": folder / "speed.json",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-c", "from wbc.cli import main; main()", "data", "speed", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"wbc data speed failed at {size} pixels:\n{done.stderr[-2000:]}")
    speed: dict[str, Any] = json.loads((folder / "speed.json").read_text())
    return speed
