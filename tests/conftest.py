"""A tiny network, trained on drawn cells and exported, shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before anything imports TensorFlow
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.drawn import drawn_cell, write_dataset
from tests.served import Served
from wbc.labels import CLASSES

if TYPE_CHECKING:
    import keras

    from wbc.inference import OnnxClassifier
    from wbc.nn.backbones import Backbone


def tiny(image: Any) -> Any:
    """Backbone of three convolutions, one with batch norm: (N, S, S, 3) to (N, S/32, S/32, 32)."""
    import keras

    x = keras.layers.Conv2D(16, 7, strides=4, padding="same", activation="relu", name="conv_1")(image)
    x = keras.layers.Conv2D(24, 5, strides=4, padding="same", use_bias=False, name="conv_2")(x)
    x = keras.layers.ReLU(name="relu_2")(keras.layers.BatchNormalization(momentum=0.9, name="norm_conv_2")(x))
    return keras.layers.Conv2D(32, 3, strides=2, padding="same", activation="relu", name="conv_3")(x)


@pytest.fixture(scope="session")
def drawn_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`Train` with 10 and `Val` with 5 drawn cells per class; read-only."""
    root = write_dataset(tmp_path_factory.mktemp("drawn"), 10, ("Train",))
    return write_dataset(root, 5, ("Val",), seed=1, mislabelled=1)


@pytest.fixture(scope="session")
def tiny_backbone() -> Backbone:
    """The function `tiny`, to build a classifier with."""
    return tiny


@pytest.fixture(scope="session")
def tiny_run(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of a training run with the backbone `tiny`; not to be written to."""
    from training.config import TrainingConfig
    from training.fit import train

    folder = tmp_path_factory.mktemp("tiny-run")
    config = TrainingConfig(
        data_root=drawn_dataset,
        results_dir=folder,
        cache_dir=tmp_path_factory.mktemp("tiny-cache"),
        weights="none",
        img_size=224,
        augmentation="none",
        batch_size=6,
        epoch_size=300,  # many short steps: the head's batch norm needs them to know its means
        phase1_epochs=0,  # each phase traces its own graph, which takes longer than all of its steps
        phase2_epochs=6,
        phase2_lr=2e-3,
        ema=0,
        xai_sample_count=0,
        tensorboard=False,
    )
    train(config, backbone=tiny)
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(tiny_run: Path, drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the bundle exported from `tiny_run`; not to be written to."""
    from export.bundle import export_bundle
    from export.options import ExportOptions

    folder = tmp_path_factory.mktemp("tiny") / "bundle"
    config = ExportOptions(run=tiny_run, output=folder, data_root=drawn_dataset, name="tiny")
    return export_bundle(config, backbone=tiny).path


@pytest.fixture(scope="session")
def tiny_model(tiny_bundle: Path) -> keras.Model:
    """The Keras model of `tiny_bundle`; its weights are not to be changed."""
    import keras

    from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model

    return keras.saving.load_model(tiny_bundle / "model.keras", compile=False)


@pytest.fixture(scope="session")
def tiny_classifier(tiny_bundle: Path) -> OnnxClassifier:
    """The graph of `tiny_bundle` in ONNX Runtime."""
    from wbc.inference import OnnxClassifier

    return OnnxClassifier(tiny_bundle / "model.onnx", threads=1)


@pytest.fixture(scope="session")
def drawn_views() -> NDArray[np.uint8]:
    """Two drawn cells of each class, as the tiny classifier takes them: uint8 (10, 224, 224, 3)."""
    rng = np.random.default_rng(99)
    return np.stack([drawn_cell(label, rng) for label in CLASSES for _ in range(2)])


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the shipped bundle."""
    with Served(tmp_path_factory.mktemp("server")) as server:
        yield server.url
