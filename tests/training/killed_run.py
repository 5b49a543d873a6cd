"""A run that kills itself: `killed_run.py CONFIG.yaml batch PHASE EPOCH BATCH`, or `... save NUMBER`.

`batch` kills after that batch, `save` instead of writing the checkpoint of that number, when the best weights of the
epoch are on disk already.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from conftest import tiny_backbone

from training import checkpoint
from training.config import TrainingConfig, read_config
from training.fit import train


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class KillAt(keras.callbacks.Callback):
    """Kills after a batch of an epoch of a phase, each counted from 1."""

    def __init__(self, phase: int, epoch: int, batch: int) -> None:
        super().__init__()
        self.phase, self.epoch, self.batch = phase, epoch, batch
        self.phases = 0

    def on_train_begin(self, logs=None):
        self.phases += 1

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if (self.phases, self.now, batch + 1) == (self.phase, self.epoch, self.batch):
            kill()


def main(config: str, kind: str, *numbers: str) -> None:
    callbacks = [KillAt(*map(int, numbers))] if kind == "batch" else []
    if kind == "save":
        real, count = checkpoint.save, 0

        def save(*arguments):
            nonlocal count
            count += 1
            if count == int(numbers[0]):
                kill()
            real(*arguments)

        checkpoint.save = save
    train(TrainingConfig(**read_config(Path(config))), backbone=tiny_backbone, callbacks=callbacks)


if __name__ == "__main__":
    main(*sys.argv[1:])
