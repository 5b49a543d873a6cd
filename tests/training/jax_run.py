"""A run under the backend that the environment names: `jax_run.py train CONFIG MODEL IMAGES`, or `devices CONFIG`."""

from __future__ import annotations

import json
import sys
from pathlib import Path


class NoTensorFlow:
    """Import hook that hides TensorFlow."""

    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            raise ModuleNotFoundError("TensorFlow is hidden from this run")


sys.meta_path.insert(0, NoTensorFlow())

import keras
import numpy as np
from conftest import tiny_backbone

from training.config import TrainingConfig, read_config
from training.fit import train


def main(what: str, config: str, *arguments: str) -> None:
    settings = TrainingConfig(**read_config(Path(config)))
    train(settings, backbone=tiny_backbone)
    said = {"backend": keras.backend.backend()}
    if what == "devices":
        said["devices"] = int(np.prod(keras.distribution.distribution().device_mesh.shape))
    else:
        images = np.load(arguments[1])
        for name, path in (("logits", arguments[0]), ("own_logits", settings.results_dir / "model.keras")):
            said[name] = keras.saving.load_model(path).predict(images, verbose=0)["main_out"].tolist()
    print(json.dumps(said))  # noqa: T201 - read by the test


if __name__ == "__main__":
    main(*sys.argv[1:])
