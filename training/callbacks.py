"""Keras callbacks of a run: end of an epoch (scores, best weights, checkpoint), progress display, TensorBoard."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from training import checkpoint
from training.batches import MAIN, AugmentedBatches
from training.checkpoint import RunState
from training.config import TrainingConfig
from training.focus_monitor import XAIFocusMonitor
from training.scores import better, epochs_without_better, reductions, scores
from wbc.atomic import replaced_atomically
from wbc.run_record import write_rows

log = logging.getLogger("wbc.training")

Logs = dict[str, Any] | None

BEST = "best.weights.h5"

COLUMNS = {"main_out_accuracy": "accuracy", "main_out_loss": "main_loss", "aux_binary_out_loss": "aux_loss"}
"""Columns of the history for Keras' names of the training scores, which depend on the number of heads."""


class SetEpoch(keras.callbacks.Callback):  # type: ignore[misc]
    """Prepares the batches of an epoch before `fit` fetches the first."""

    def __init__(self, batches: AugmentedBatches) -> None:
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        self.batches.begin(epoch)


class EpochEnd(keras.callbacks.Callback):  # type: ignore[misc]
    """Scores an epoch, keeps the best weights, decides about the next epoch and saves the checkpoint.

    Args:
        whole: the classifier; `fit` may train a part of it.
        state: progress of the run; updated here.
        config: configuration of the run.
        peak: learning rate at the start of the phase, for its reductions.
        val: prepared validation images, padded to whole batches, and the labels without the padding.
        monitor: focus monitor, run on the averaged weights.
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
        self.whole, self.state, self.config = whole, state, config
        self.peak, self.val, self.monitor = peak, val, monitor
        self._started = time.monotonic()

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
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
                with replaced_atomically(folder / BEST) as new:
                    self.whole.save_weights(new)
        now = time.monotonic()
        row["seconds"] = round(now - self._started, 1)
        self._started = now
        state.wall_time_s += row["seconds"]
        state.history.append(row)
        state.phase_epoch = epoch + 1
        self._stop_or_reduce()
        checkpoint.save(folder, state, self.whole, self.model.optimizer)
        write_rows(folder / "history.csv", state.history)
        seen.update(row)
        log.info("%s", json.dumps(row))

    def _stop_or_reduce(self) -> None:
        """End the phase or reduce the learning rate; depends on the history only, so a resumed run decides the same."""
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
    """Give the model the moving averages of its weights, if its optimizer keeps any; restore the weights afterwards."""
    optimizer = model.optimizer
    if not getattr(optimizer, "use_ema", False):
        yield
        return
    variables = model.trainable_variables
    averages = optimizer._model_variables_moving_average  # Keras has no public accessor
    kept = [checkpoint.as_array(variable) for variable in variables]
    for variable, average in zip(variables, averages, strict=True):
        variable.assign(checkpoint.as_array(average))  # a copy: under JAX `predict` donates the weights' buffers
    try:
        yield
    finally:
        for variable, value in zip(variables, kept, strict=True):
            variable.assign(value)


class RichProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """Prints a line per finished epoch, and on a terminal a progress bar of the steps.

    Args:
        phase: number of the phase, for the label.
        console: output; standard error by default.
    """

    def __init__(self, phase: int, console: Console | None = None) -> None:
        super().__init__()
        self.phase, self.console = phase, console or Console(file=sys.stderr)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        scores_column = TextColumn("{task.fields[scores]}")
        self._bar = Progress(*columns, scores_column, console=self.console, disable=not self.console.is_terminal)

    def on_train_begin(self, logs: Logs = None) -> None:
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        label = f"phase {self.phase}, epoch {epoch + 1}/{self.params['epochs']}"
        self._task = self._bar.add_task(label, total=self.params["steps"], scores="")

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        loss = f"loss {float(logs['loss']):.4f}" if logs else ""
        self._bar.update(self._task, completed=batch + 1, scores=loss)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        self._bar.remove_task(self._task)
        row, names = logs or {}, ("loss", "val_loss", "val_accuracy", "val_balanced_accuracy", "focus", "focus_lift")
        values = [f"{name} {row[name]:.4g}" for name in (*names, "seconds") if row.get(name) is not None]
        line = f"phase {self.phase} epoch {epoch + 1}: {', '.join(values)}"
        self.console.print(line, highlight=False, soft_wrap=True)

    def on_train_end(self, logs: Logs = None) -> None:
        self._bar.stop()


class TensorBoardLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Writes the numbers in an epoch's logs as TensorBoard scalars, without TensorFlow, so under every backend.

    Args:
        folder: folder of the event files.
        offset: number of epochs in the earlier phases.
    """

    def __init__(self, folder: Path, offset: int) -> None:
        super().__init__()
        self.folder, self.offset = folder, offset

    def on_train_begin(self, logs: Logs = None) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float) and not isinstance(v, bool)}
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in numbers.items()]
        event = Event(wall_time=time.time(), step=self.offset + epoch + 1, summary=Summary(value=values))
        self._writer.add_event(event)
        self._writer.flush()

    def on_train_end(self, logs: Logs = None) -> None:
        self._writer.close()
