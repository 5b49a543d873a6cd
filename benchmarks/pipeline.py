"""Training's input pipeline, alone and beside the training steps: `wbc data speed` in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.cells import SIDE, write_splits
from benchmarks.machine import Machine
from benchmarks.record import PipelineResult, PipelineSpeed
from wbc.errors import DataError


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How the input pipeline is measured.

    Attributes:
        data_root: folder of the splits; None draws cells.
        sizes: sides in pixels at which the network is trained.
        batch_size: images a step.
        steps: that are timed, after one that is not.
        variant: the enhancement filter.
        per_class: drawn cells a class, where cells are drawn.
        quick: whether it is a short run.
    """

    data_root: Path | None = None
    sizes: tuple[int, ...] = (112, 224)
    batch_size: int = 32
    steps: int = 4
    variant: str = "v1"
    per_class: int = 40
    quick: bool = False


def measure_pipeline(config: PipelineConfig, machine: Machine, say: Callable[[str], None]) -> PipelineResult:
    """Measure each size.

    Args:
        config: how.
        machine: what it runs on, read before anything is measured.
        say: is told what is being done.

    Raises:
        DataError: `wbc data speed` failed.
    """
    sizes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if config.data_root is None:
            write_splits(folder / "cells", config.per_class)
        for size in config.sizes:
            say(f"training at {size} pixels")
            sizes.append(_speed(config, size, config.data_root or folder / "cells", folder))
    drawn = f"{5 * config.per_class} drawn cells, JPEG, {SIDE}x{SIDE} pixels"
    return PipelineResult(
        command="wbc bench pipeline",
        quick=config.quick,
        machine=machine,
        images=drawn if config.data_root is None else f"Train of {config.data_root.name}",
        variant=config.variant,
        batch_size=config.batch_size,
        sizes=sizes,
    )


def _speed(config: PipelineConfig, size: int, root: Path, folder: Path) -> PipelineSpeed:
    options: dict[str, Any] = {
        "data-root": root.resolve(),
        "img-size": size,
        "batch-size": config.batch_size,
        "epoch-size": (config.steps + 1) * config.batch_size,
        "steps": config.steps,
        "preprocessing": config.variant,
        "cache-dir": folder / "cache",
        # Times do not depend on the weights; with those of a pretrained start the batch norm would be frozen.
        "weights": "none",
        "batch-norm": "frozen",
        "output": folder / "speed.json",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    command = [sys.executable, "-c", "from wbc.cli import main; main()", "data", "speed", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DataError(f"wbc data speed failed at {size} pixels:\n{done.stderr[-2000:]}")
    return PipelineSpeed(img_size=size, **json.loads((folder / "speed.json").read_text()))
