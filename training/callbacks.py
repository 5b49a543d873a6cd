"""What happens at the ends of epochs: the averaged weights are judged, the best kept, the run's state saved."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training import checkpoint
from training.batches import MAIN, AugmentedBatches
from training.checkpoint import RunState
from training.config import TrainingConfig
from training.focus_monitor import XAIFocusMonitor
from training.scores import better, epochs_without_better, reductions, scores
from wbc.run_record import write_rows

log = logging.getLogger("wbc.training")

BEST = "best.weights.h5"

COLUMNS = {"main_out_accuracy": "accuracy", "main_out_loss": "main_loss", "aux_binary_out_loss": "aux_loss"}
"""Keras' names of the training scores, which depend on the number of heads, and the history's."""


class SetEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Makes the batches of an epoch ready before `fit` asks for the first."""

    def __init__(self, batches: AugmentedBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.batches.begin(epoch)


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Judges an epoch, keeps the best weights, decides whether to go on, and saves all that a resumed run needs.

    Args:
        whole: the classifier; `fit` may train a part of it.
        state: the run's progress, brought up to date here.
        config: the run.
        peak: learning rate at the start of the phase, for its reduction.
        val: prepared images, filled up to whole batches, and the labels of those to judge by.
        monitor: the focus monitor, where there is one; it sees the averaged weights.
    """

    def __init__(
        self,
        *,
        whole: keras.Model,
        state: RunState,
        config: TrainingConfig,
        peak: float,
        val: tuple[NDArray[np.uint8], NDArray[np.int64]],
        monitor: XAIFocusMonitor | None = None,
    ) -> None:
        super().__init__()
        self.whole, self.state, self.config, self.peak, self.val, self.monitor = (
            whole,
            state,
            config,
            peak,
            val,
            monitor,
        )
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        state, folder = self.state, self.config.results_dir
        seen = {} if logs is None else logs
        row: dict[str, float] = {"phase": state.phase, "epoch": len(state.history) + 1}
        row |= {COLUMNS.get(k, k): round(float(v), 6) for k, v in seen.items()}
        row["learning_rate"] = float(checkpoint.as_array(self.model.optimizer.learning_rate))
        with averaged_weights(self.model):
            logits = self.model.predict(self.val[0], batch_size=self.config.batch_size, verbose=0)[MAIN]
            row |= scores(logits[: len(self.val[1])], self.val[1])
            if self.monitor is not None:
                self.monitor.set_model(self.model)
                self.monitor.on_epoch_end(epoch, row)
            if better(row, state.best):
                state.best = row
                save_weights(self.whole, folder / BEST)
        now = time.monotonic()
        row["seconds"] = round(now - self._started, 1)
        self._started = now
        state.wall_time_s += row["seconds"]
        state.history.append(row)
        state.phase_epoch = epoch + 1
        self._go_on_or_stop()
        checkpoint.save(folder, state, self.whole, self.model.optimizer)
        write_rows(folder / "history.csv", state.history)
        seen.update(row)
        log.info("%s", json.dumps(row))

    def _go_on_or_stop(self) -> None:
        """End the phase, or reduce the learning rate; decided from the history, so a resumed run decides the same."""
        rows, config = self.state.rows(), self.config
        reason = self.monitor.stopped if self.monitor is not None else None
        since = epochs_without_better(rows)
        if reason is None and config.early_stop_patience and since >= config.early_stop_patience:
            reason = f"{since} epochs without a better one"
        if reason is not None:
            log.warning("phase %d ends after epoch %d: %s", self.state.phase, rows[-1]["epoch"], reason)
            self.state.stops[str(self.state.phase)] = reason
            self.state.phase_over = True
            self.model.stop_training = True
        elif config.lr_patience:
            factor = config.lr_factor ** reductions(rows, config.lr_patience)
            self.model.optimizer.learning_rate = self.peak * factor


@contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """The model with the averages of its weights, where its optimizer keeps them; as it was afterwards."""
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    variables = model.trainable_variables
    averages = optimizer._model_variables_moving_average  # Keras offers no public reader
    kept = [checkpoint.as_array(variable) for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(checkpoint.as_array(average))  # a copy: under JAX `predict` gives the weights' buffers away
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


def save_weights(model: keras.Model, path: Path) -> None:
    """Weights of a model, replaced in one step."""
    new = path.with_name(f"new.{path.name}")
    model.save_weights(new)
    new.replace(path)
