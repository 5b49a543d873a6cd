"""What a person follows a run by: a progress display in the terminal, and TensorBoard."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class RichProgress(keras.callbacks.Callback):  # type: ignore[misc]
    """A bar for the epoch's steps and a line for each finished epoch; without a terminal the lines alone.

    Args:
        phase: number of the phase, for the label.
        console: where; standard error if not given.
    """

    def __init__(self, phase: int, console: Console | None = None) -> None:
        super().__init__()
        self.phase, self.console = phase, console or Console(file=sys.stderr)
        self._bar: Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        if not self.console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, TextColumn("{task.fields[scores]}"), console=self.console)
        self._bar.start()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None:
            label = f"phase {self.phase}, epoch {epoch + 1}/{self.params['epochs']}"
            self._task = self._bar.add_task(label, total=self.params["steps"], scores="")

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None:
            loss = f"loss {float(logs['loss']):.4f}" if logs else ""
            self._bar.update(self._task, completed=batch + 1, scores=loss)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None:
            self._bar.remove_task(self._task)
        self.console.print(_line(self.phase, epoch + 1, logs or {}), highlight=False, soft_wrap=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if self._bar is not None:
            self._bar.stop()


def _line(phase: int, epoch: int, row: dict[str, Any]) -> str:
    """A finished epoch in one line."""
    names = ("loss", "val_loss", "val_accuracy", "val_balanced_accuracy", "focus", "focus_lift", "seconds")
    told = [f"{name} {row[name]:.4g}" for name in names if row.get(name) is not None]
    return f"phase {phase} epoch {epoch}: " + ", ".join(told)


class TensorBoardLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Every number of an epoch's logs as a TensorBoard scalar; needs no TensorFlow, so it serves every backend.

    Args:
        folder: where the event files are written.
        offset: epochs of the phases before this one.
    """

    def __init__(self, folder: Path, offset: int) -> None:
        super().__init__()
        self.folder, self.offset = folder, offset

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self.folder))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, int | float) and not isinstance(v, bool)}
        values = [Summary.Value(tag=name, simple_value=float(value)) for name, value in numbers.items()]
        event = Event(wall_time=time.time(), step=self.offset + epoch + 1, summary=Summary(value=values))
        self._writer.add_event(event)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._writer.close()
