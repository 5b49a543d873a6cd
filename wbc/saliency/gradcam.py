"""Grad-CAM of any layer by automatic differentiation of the Keras graph; the reference for the closed form."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.classifier import ATTENTION


class GradCam:
    """Grad-CAM (Selvaraju et al. 2017) on the logits, before any softmax.

    Args:
        model: a classifier of `wbc.nn.build_classifier`.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._with_features = lru_cache(maxsize=None)(self._build)

    @classmethod
    def load(cls, path: Path) -> GradCam:
        """Load a saved classifier."""
        return cls(keras.saving.load_model(path, compile=False))

    @property
    def layers(self) -> list[str]:
        """Names of the layers that have a map: those with a spatial output."""
        return [layer.name for layer in self.model.layers[1:] if len(getattr(layer.output, "shape", ())) == 4]

    def maps(self, images: NDArray[np.uint8], layer: str = ATTENTION) -> NDArray[np.float32]:
        """Compute the maps of all classes.

        Args:
            images: uint8 (N, S, S, 3), prepared.
            layer: a layer of `layers`.

        Returns:
            float32 (N, 5, h, w), not negative, not scaled.

        Raises:
            InvalidParameter: there is no such layer, or its output has no spatial axes.
        """
        model = self._with_features(layer)
        with tf.GradientTape(persistent=True) as tape:
            outputs = model(tf.constant(images), training=False)
            features = outputs["features"]
            scores = [outputs["logits"][:, index] for index in range(len(CLASSES))]
        maps = []
        for score in scores:
            weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
            maps.append(tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)))
        return np.asarray(tf.stack(maps, axis=1).numpy(), np.float32)

    def _build(self, layer: str) -> keras.Model:
        """Return the model with the outputs `features`, of a layer, and `logits`."""
        if layer not in (known := self.layers):
            raise InvalidParameter(
                f"layer={layer!r} has no activation map; use one of {len(known)}, such as {', '.join(known[-5:])}"
            )
        outputs = {"features": self.model.get_layer(layer).output, "logits": self.model.output["main_out"]}
        return keras.Model(self.model.input, outputs)
