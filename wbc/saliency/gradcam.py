"""Grad-CAM by automatic differentiation of the Keras graph: the oracle of the closed form, and any layer."""

from __future__ import annotations

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
        self._runners: dict[str, keras.Model] = {}

    @property
    def layers(self) -> list[str]:
        """Names of the layers that a map can be taken from: those with a spatial output."""
        return [layer.name for layer in self.model.layers[1:] if len(getattr(layer.output, "shape", ())) == 4]

    def maps(self, images: NDArray[np.uint8], layer: str = ATTENTION) -> NDArray[np.float32]:
        """Maps of all classes.

        Args:
            images: uint8 (N, S, S, 3), prepared.
            layer: name of a layer of `layers`.

        Returns:
            float32 (N, 5, h, w), not negative, not scaled.

        Raises:
            InvalidParameter: no such layer, or its output has no spatial axes.
        """
        runner = self._runner(layer)
        with tf.GradientTape(persistent=True) as tape:
            outputs = runner(tf.constant(images), training=False)
            features = outputs["features"]
            scores = [outputs["logits"][:, index] for index in range(len(CLASSES))]
        maps = []
        for score in scores:
            weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
            maps.append(tf.nn.relu(tf.reduce_sum(weights * features, axis=-1)))
        return np.asarray(tf.stack(maps, axis=1).numpy(), np.float32)

    def _runner(self, layer: str) -> keras.Model:
        if layer not in self._runners:
            known = self.layers
            if layer not in known:
                raise InvalidParameter(
                    f"layer={layer!r} has no map; {len(known)} layers have, among them {', '.join(known[-5:])}"
                )
            self._runners[layer] = keras.Model(
                self.model.input,
                {"features": self.model.get_layer(layer).output, "logits": self.model.output["main_out"]},
            )
        return self._runners[layer]
