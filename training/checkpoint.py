"""Checkpoint of a run: one file, replaced atomically, so that a killed run leaves a complete one."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from wbc.atomic import replaced_atomically
from wbc.errors import InvalidParameter

FILE = "checkpoint.npz"


@dataclass
class RunState:
    """Progress of a run."""

    config: dict[str, Any]  # resolved, as at the start
    phase: int = 1
    phase_epoch: int = 0  # finished epochs of the phase
    phase_over: bool = False  # the phase ended early
    history: list[dict[str, Any]] = field(default_factory=list)  # one row per finished epoch of both phases
    best: dict[str, Any] | None = None  # row of the best epoch
    stops: dict[str, str] = field(default_factory=dict)  # reason of each early end, by phase
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


def load(folder: Path, kind: Literal["model", "optimizer"], variables: list[Any]) -> None:
    """Restore the variables of a model (weights and dropout seeds) or of an optimizer that is already built."""
    with np.load(folder / FILE) as saved:
        for index, variable in enumerate(variables):
            variable.assign(saved[f"{kind}/{index}"])
