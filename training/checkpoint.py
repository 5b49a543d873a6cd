"""Checkpoint of a run: one file, replaced atomically, so that a killed run leaves a complete one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wbc.atomic import replaced_atomically
from wbc.errors import InvalidParameter

FILE = "checkpoint.npz"


@dataclass
class RunState:
    """Progress of a run.

    Attributes:
        config: the resolved configuration that the run started with.
        phase: the current phase, 1 or 2.
        phase_epoch: finished epochs of that phase.
        phase_over: true if the phase ended before its last epoch.
        history: one row per finished epoch of both phases.
        best: the row of the best epoch so far.
        stops: the reason of each early end, by phase.
        wall_time_s: seconds spent in all parts of the run.
    """

    config: dict[str, Any]
    phase: int = 1
    phase_epoch: int = 0
    phase_over: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    stops: dict[str, str] = field(default_factory=dict)
    wall_time_s: float = 0.0

    def rows(self) -> list[dict[str, Any]]:
        """Return the history of the current phase."""
        return [row for row in self.history if row["phase"] == self.phase]


def as_array(variable: Any) -> NDArray[Any]:
    """Return a copy of a Keras variable's value; Keras does not support the `copy` argument of `np.array`."""
    return np.asarray(variable).copy()


def exists(folder: Path) -> bool:
    """Return true if the folder has a checkpoint."""
    return (folder / FILE).is_file()


def holds_a_run(folder: Path) -> bool:
    """Return true if a run was started in the folder."""
    return any((folder / name).is_file() for name in (FILE, "training.json", "state.json"))


def save(folder: Path, state: RunState, model: keras.Model, optimizer: keras.optimizers.Optimizer | None) -> None:
    """Write the weights, the dropout seeds, the optimizer variables and the progress."""
    kinds = {"model": model.variables, "optimizer": [] if optimizer is None else optimizer.variables}
    arrays: dict[str, Any] = {
        f"{kind}/{index}": as_array(variable)
        for kind, variables in kinds.items()
        for index, variable in enumerate(variables)
    }
    with replaced_atomically(folder / FILE) as new, new.open("wb") as out:
        np.savez(out, state=np.array(json.dumps(asdict(state))), **arrays)
        out.flush()
        os.fsync(out.fileno())


def load_state(folder: Path) -> RunState:
    """Read the progress.

    Raises:
        InvalidParameter: there is no checkpoint.
    """
    if not exists(folder):
        raise InvalidParameter(f"{folder} has no {FILE}; there is nothing to resume")
    with np.load(folder / FILE) as saved:
        return RunState(**json.loads(str(saved["state"])))


def load_model(folder: Path, model: keras.Model) -> None:
    """Restore the weights and the dropout seeds."""
    _restore(folder, "model", model.variables)


def load_optimizer(folder: Path, optimizer: keras.optimizers.Optimizer) -> None:
    """Restore the variables of an optimizer that is already built."""
    _restore(folder, "optimizer", optimizer.variables)


def _restore(folder: Path, kind: str, variables: list[Any]) -> None:
    with np.load(folder / FILE) as saved:
        for index, variable in enumerate(variables):
            variable.assign(saved[f"{kind}/{index}"])
