"""A tiny network, really trained on drawn cells and really exported, shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import pytest

from tests.drawn import write_dataset
from tests.served import Served


def tiny(image: Any) -> Any:
    """Backbone of three convolutions, one with batch norm: (N, S, S, 3) to (N, S/32, S/32, 32)."""
    import keras

    x = keras.layers.Conv2D(16, 7, strides=4, padding="same", activation="relu", name="conv_1")(image)
    x = keras.layers.Conv2D(24, 5, strides=4, padding="same", use_bias=False, name="conv_2")(x)
    x = keras.layers.ReLU(name="relu_2")(keras.layers.BatchNormalization(momentum=0.9, name="norm_conv_2")(x))
    return keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="conv_3")(x)


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Train` and `Val` with 12 drawn cells a class; not to be written to."""
    return write_dataset(tmp_path_factory.mktemp("drawn"), 12, mislabelled=1)


@pytest.fixture(scope="session")
def tiny_run(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of a training run with the backbone `tiny`."""
    from training.config import TrainingConfig
    from training.fit import train

    folder = tmp_path_factory.mktemp("tiny-run")
    config = TrainingConfig(
        data_root=drawn_dataset,
        results_dir=folder,
        cache_dir=None,
        weights="none",
        augmentation="none",
        batch_size=12,
        phase1_epochs=1,
        phase2_epochs=15,
        phase2_lr=3e-3,
        ema=0,
        xai_sample_count=0,
        tensorboard=False,
    )
    train(config, backbone=tiny)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bundle exported from `tiny_run`; not to be written to."""
    from export.bundle import ExportConfig, export_bundle

    folder = tmp_path_factory.mktemp("tiny-bundle") / "bundle"
    return export_bundle(ExportConfig(run=tiny_run, output=folder, data_root=drawn_dataset, name="tiny"), backbone=tiny).path



@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the really served product answers, with the shipped bundle."""
    with Served(tmp_path_factory.mktemp("server")) as server:
        yield server.url
