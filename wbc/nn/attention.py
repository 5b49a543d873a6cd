"""WBCAttentionBlock: channel attention, then spatial attention, on a feature map."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wbc")
class WBCAttentionBlock(keras.layers.Layer):  # type: ignore[misc]
    """CBAM-style attention (Woo et al. 2018, arXiv 1807.06521) for `(N, H, W, C)` feature maps.

    Channel gate: `sigmoid(MLP(mean_hw(x)) + MLP(max_hw(x)))`, shape `(N, 1, 1, C)`, one shared two-layer
    MLP with biases and `C // ratio` ReLU units. Spatial gate: `sigmoid(conv([mean_c(x), max_c(x)]))`, shape
    `(N, H, W, 1)`, one convolution with bias. Both gates are in (0, 1) and multiply the map in this order.
    The biases of the MLP are not in the paper. With 1,024 channels, ratio 16 and kernel size 7 the block has 132,259
    parameters.

    Args:
        ratio: reduction factor of the channel MLP.
        kernel_size: side of the spatial convolution, in cells of the feature map.

    Raises:
        ValueError: the number of input channels is unknown or smaller than `ratio`.
    """

    def __init__(self, ratio: int = 16, kernel_size: int = 7, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.ratio = int(ratio)
        self.kernel_size = int(kernel_size)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        if len(input_shape) != 4 or channels is None or channels < self.ratio:
            raise ValueError(f"expected (N, H, W, C) with C >= {self.ratio}, received {input_shape}")
        self.squeeze = keras.layers.Dense(
            channels // self.ratio,
            activation="relu",
            kernel_initializer="he_normal",
            dtype=self.dtype_policy,
            name="squeeze",
        )
        self.excite = keras.layers.Dense(channels, dtype=self.dtype_policy, name="excite")
        self.spatial = keras.layers.Conv2D(1, self.kernel_size, padding="same", dtype=self.dtype_policy, name="spatial")
        self.squeeze.build((None, channels))
        self.excite.build((None, channels // self.ratio))
        self.spatial.build((*input_shape[:3], 2))
        self.built = True

    def call(self, inputs: Any) -> Any:
        mean, peak = ops.mean(inputs, axis=(1, 2)), ops.max(inputs, axis=(1, 2))
        gate = ops.sigmoid(self.excite(self.squeeze(mean)) + self.excite(self.squeeze(peak)))
        gated = inputs * ops.expand_dims(ops.expand_dims(gate, 1), 1)
        planes = ops.concatenate(
            [ops.mean(gated, axis=-1, keepdims=True), ops.max(gated, axis=-1, keepdims=True)], axis=-1
        )
        return gated * ops.sigmoid(self.spatial(planes))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "ratio": self.ratio, "kernel_size": self.kernel_size}
