"""The same code under the JAX backend: it trains, and the weights of either backend load in the other."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import tiny_backbone

from training.config import save_config
from training.fit import train

HERE = Path(__file__).parent

pytestmark = [
    pytest.mark.timeout(600),  # JAX compiles each step of each process anew
    pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed: pip install jax==0.10.2"),
]


def under_jax(*arguments: str, devices: int = 1) -> dict:
    """Run `jax_run.py` in a process of its own and return its output."""
    path = os.pathsep.join([str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "PYTHONPATH": path,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    command = [sys.executable, str(HERE / "jax_run.py"), *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=550, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


def test_weights_load_in_the_other_backend(settings_for, tmp_path, dataset):
    images = np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3)).astype(np.uint8)
    np.save(tmp_path / "images.npy", images)
    mine = settings_for(phase1_epochs=1, phase2_epochs=0, results_dir=tmp_path / "tensorflow")
    train(mine, backbone=tiny_backbone)
    other = settings_for(
        results_dir=tmp_path / "jax",
        phase1_epochs=0,
        augmentation="robust",
        xai_sample_count=5,
        xai_every_n_epochs=1,
        tensorboard=True,
    )
    save_config(other, tmp_path / "config.yaml")
    model = str(mine.results_dir / "model.keras")
    said = under_jax("train", str(tmp_path / "config.yaml"), model, str(tmp_path / "images.npy"))
    assert said["backend"] == "jax"
    here = keras.saving.load_model(model).predict(images, verbose=0)["main_out"]
    np.testing.assert_allclose(said["logits"], here, rtol=1e-4, atol=1e-5)
    back = keras.saving.load_model(other.results_dir / "model.keras").predict(images, verbose=0)["main_out"]
    np.testing.assert_allclose(said["own_logits"], back, rtol=1e-4, atol=1e-5)
    history = (other.results_dir / "history.csv").read_text().splitlines()
    assert len(history) == 2
    assert "focus_lift" in history[0]


def test_several_devices_share_a_batch(settings_for, tmp_path):
    config = settings_for(phase2_epochs=0)
    save_config(config, tmp_path / "config.yaml")
    assert under_jax("devices", str(tmp_path / "config.yaml"), devices=2)["devices"] == 2
    assert (config.results_dir / "model.keras").is_file()
