"""A run that is killed and resumed has the same result as an uninterrupted run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_backbone

from training import checkpoint
from training.config import TrainingConfig, save_config
from training.fit import train
from wbc.errors import InvalidParameter

HERE = Path(__file__).parent

CONFIG = {
    "augmentation": "robust",
    "phase1_epochs": 2,
    "phase2_epochs": 2,
    "epoch_size": 24,
    "lr_patience": 1,
    "xai_sample_count": 5,
    "xai_every_n_epochs": 1,
    "xai_focus_threshold": 0.0,
}


@pytest.fixture(scope="module")
def uninterrupted(dataset, tmp_path_factory):
    """Weights and history of a run that nothing disturbed."""
    config = _config(dataset, tmp_path_factory.mktemp("uninterrupted"))
    record = train(config, backbone=tiny_backbone)
    return config, record, _outcome(record, config.results_dir)


@pytest.mark.parametrize(
    "at",
    [("batch", 1, 2, 2), ("save", 4)],
    ids=["in the middle of an epoch", "phase 2 begun, its best epoch kept, its state not yet"],
)
def test_killed_and_resumed_is_as_uninterrupted(dataset, tmp_path, uninterrupted, at):
    config = _config(dataset, tmp_path)
    save_config(config, tmp_path / "config.yaml")
    command = [sys.executable, str(HERE / "killed_run.py"), str(tmp_path / "config.yaml"), *map(str, at)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr
    assert not (config.results_dir / "training.json").exists()
    weights, history, best = _outcome(train(config, resume=True, backbone=tiny_backbone), config.results_dir)
    expected_weights, expected_history, expected_best = uninterrupted[2]
    for mine, other in zip(weights, expected_weights, strict=True):
        np.testing.assert_array_equal(mine, other)
    assert history == expected_history
    assert best == expected_best


def test_another_configuration_does_not_resume(uninterrupted):
    config = uninterrupted[0].model_copy(update={"seed": 7, "batch_size": 4})
    with pytest.raises(InvalidParameter, match="begun with another batch_size, seed"):
        train(config, resume=True, backbone=tiny_backbone)


def test_a_second_run_in_the_same_folder_is_refused(uninterrupted):
    with pytest.raises(InvalidParameter, match="holds a run already"):
        train(uninterrupted[0], backbone=tiny_backbone)


def test_a_finished_run_resumes_to_its_own_result(uninterrupted):
    config, record, _ = uninterrupted
    assert train(config, resume=True, backbone=tiny_backbone) == record


def test_a_folder_without_a_checkpoint_cannot_be_resumed(settings_for):
    config = settings_for()
    config.results_dir.mkdir()
    (config.results_dir / "training.json").write_text("{}")
    with pytest.raises(InvalidParameter, match="nothing to resume"):
        train(config, resume=True, backbone=tiny_backbone)


def _config(dataset: Path, folder: Path) -> TrainingConfig:
    base = {"weights": "none", "img_size": 32, "batch_size": 8, "ema": 0.5, "tensorboard": False}
    return TrainingConfig(data_root=dataset, results_dir=folder / "run", cache_dir=folder / "cache", **base, **CONFIG)


def _outcome(record, folder: Path):
    """All that two equal runs have in common."""
    with np.load(folder / checkpoint.FILE) as saved:
        arrays = [saved[name] for name in sorted(saved.files) if name != "state"]
        state = json.loads(str(saved["state"]))
    history = [{k: v for k, v in row.items() if k != "seconds"} for row in state["history"]]
    return arrays, history, record.best_epoch
