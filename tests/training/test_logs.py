"""Progress display and TensorBoard log of a run."""

from __future__ import annotations

import io

from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.callbacks import RichProgress, TensorBoardLog


def follow(callback, logs):
    callback.set_params({"epochs": 2, "steps": 3})
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_epoch_begin(epoch)
        for batch in range(3):
            callback.on_train_batch_end(batch, {"loss": 0.5})
        callback.on_epoch_end(epoch, logs)
    callback.on_train_end()


def test_each_epoch_is_a_line_where_there_is_no_terminal():
    out = io.StringIO()
    follow(RichProgress(2, Console(file=out, width=200)), {"loss": 0.5, "val_loss": 0.25, "focus": None})
    assert out.getvalue().splitlines() == [
        "phase 2 epoch 1: loss 0.5, val_loss 0.25",
        "phase 2 epoch 2: loss 0.5, val_loss 0.25",
    ]


def test_a_terminal_sees_a_bar_of_the_steps():
    out = io.StringIO()
    follow(RichProgress(1, Console(file=out, force_terminal=True, width=120)), {"loss": 0.5})
    assert "phase 1, epoch 2/2" in out.getvalue()
    assert "0/3" in out.getvalue()


def test_tensorboard_reads_the_scalars(tmp_path):
    follow(TensorBoardLog(tmp_path, offset=4), {"val_accuracy": 0.75, "focus": None, "phase": 1})
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"val_accuracy", "phase"}
    assert [(event.step, event.value) for event in events.Scalars("val_accuracy")] == [(5, 0.75), (6, 0.75)]
