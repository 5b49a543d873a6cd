"""A run's state on disk: one file, replaced in one step, so that a kill leaves the old one or the new one whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter

FILE = "checkpoint.npz"


@dataclass
class RunState:
    """How far a run has come.

    Attributes:
        config: the resolved configuration it was begun with.
        phase: the current phase, 1 or 2.
        phase_epoch: finished epochs of that phase.
        phase_over: whether it ended before its last epoch.
        history: a row for each finished epoch of both phases.
        best: the row of the best epoch so far.
        stops: why a phase ended early, by phase.
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
        """The history of the current phase."""
        return [row for row in self.history if row["phase"] == self.phase]


def as_array(variable: Any) -> NDArray[Any]:
    """The value of a Keras variable, copied; `np.array` would ask it for a copy, which it does not know how to give."""
    return np.asarray(variable).copy()


def exists(folder: Path) -> bool:
    """Whether there is a checkpoint to go on from."""
    return (folder / FILE).is_file()


def holds_a_run(folder: Path) -> bool:
    """Whether a run was begun in a folder."""
    return any((folder / name).is_file() for name in (FILE, "training.json", "state.json"))


def save(folder: Path, state: RunState, model: keras.Model, optimizer: keras.optimizers.Optimizer | None) -> None:
    """Write weights, dropout's seeds, the optimizer and the progress."""
    kinds = {"model": model.variables, "optimizer": [] if optimizer is None else optimizer.variables}
    arrays: dict[str, Any] = {
        f"{kind}/{index}": as_array(variable)
        for kind, variables in kinds.items()
        for index, variable in enumerate(variables)
    }
    new = folder / f"new.{FILE}"
    with new.open("wb") as out:
        np.savez(out, state=np.array(json.dumps(asdict(state))), **arrays)
        out.flush()
        os.fsync(out.fileno())
    new.replace(folder / FILE)


def load_state(folder: Path) -> RunState:
    """The progress alone.

    Raises:
        InvalidParameter: there is no checkpoint.
    """
    if not exists(folder):
        raise InvalidParameter(f"{folder} has no {FILE}; there is nothing to resume")
    with np.load(folder / FILE) as saved:
        return RunState(**json.loads(str(saved["state"])))


def load_model(folder: Path, model: keras.Model) -> None:
    """Put the weights and dropout's seeds back as they were saved."""
    _restore(folder, "model", model.variables)


def load_optimizer(folder: Path, optimizer: keras.optimizers.Optimizer) -> None:
    """Put the optimizer's variables back as they were saved; it has to be built."""
    _restore(folder, "optimizer", optimizer.variables)


def _restore(folder: Path, kind: str, variables: list[Any]) -> None:
    with np.load(folder / FILE) as saved:
        for index, variable in enumerate(variables):
            variable.assign(saved[f"{kind}/{index}"])
