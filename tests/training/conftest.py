"""A drawn data set and a tiny network, shared by the tests of training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import pytest
from drawn import draw_cell, write_dataset

from training.config import TrainingConfig

KERAS_COPIES = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
"""Keras 3.15 and TensorFlow 2.21 hand variables to NumPy 2.4 in their own code, in `save_weights` for one."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(KERAS_COPIES))


def tiny_backbone(image: Any) -> Any:
    """Three strided convolutions, one with batch norm: (N, S, S, 3) to (N, S/8, S/8, 16)."""
    x = keras.layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv_1")(image)
    x = keras.layers.Conv2D(12, 3, strides=2, padding="same", name="conv_2")(x)
    x = keras.layers.ReLU(name="relu_2")(keras.layers.BatchNormalization(name="norm_conv_2")(x))
    return keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="conv_3")(x)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Train` with 6 and `Val` with 3 images per class, 64x64; read-only."""
    root = tmp_path_factory.mktemp("cells")
    write_dataset(root, {"Train": 6, "Val": 3})
    return root


@pytest.fixture
def settings_for(dataset: Path, tmp_path: Path) -> Callable[..., TrainingConfig]:
    """Makes a configuration of a run that takes a second."""

    def make(**changes: Any) -> TrainingConfig:
        base: dict[str, Any] = {
            "data_root": dataset,
            "results_dir": tmp_path / "run",
            "cache_dir": tmp_path / "cache",
            "weights": "none",
            "augmentation": "none",
            "img_size": 32,
            "batch_size": 8,
            "phase1_epochs": 1,
            "phase2_epochs": 1,
            "ema": 0.5,
            "xai_sample_count": 0,
            "tensorboard": False,
        }
        return TrainingConfig(**{**base, **changes})

    return make


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def cell(rng: np.random.Generator) -> np.ndarray:
    """One drawn neutrophil, 64x64."""
    return draw_cell(4, rng)
