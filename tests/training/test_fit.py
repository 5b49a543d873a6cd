"""The run as a whole: what it leaves, what it refuses, and that its two heads learn."""

from __future__ import annotations

import json

import keras
import pytest
from conftest import tiny_backbone

from training.fit import train
from wbc.errors import InvalidParameter


def test_a_run_leaves_what_it_promises(settings_for):
    config = settings_for(augmentation="robust", xai_sample_count=5, xai_every_n_epochs=1, tensorboard=True)
    record = train(config, backbone=tiny_backbone)
    folder = config.results_dir
    left = {path.name for path in folder.iterdir()}
    assert left >= {
        "model.keras",
        "training.json",
        "history.csv",
        "config.yaml",
        "split_summary.csv",
        "class_distribution.png",
        "history.png",
        "focus.png",
        "report.html",
        "tensorboard",
    }
    assert json.loads((folder / "training.json").read_text())["best_epoch"] == record.best_epoch
    assert keras.saving.load_model(folder / "model.keras").output.keys() == {"main_out", "aux_binary_out"}


def test_a_second_run_in_the_same_folder_is_refused(settings_for):
    config = settings_for(phase2_epochs=0)
    train(config, backbone=tiny_backbone)
    with pytest.raises(InvalidParameter, match="holds a run already"):
        train(config, backbone=tiny_backbone)
