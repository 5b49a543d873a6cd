"""MedSwish, the classifier's learnable activation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wbc")
class MedSwish(keras.layers.Layer):  # type: ignore[misc]
    """Swish activation with a learnable slope and a learnable, sign-dependent gain.

    `f(x) = x * sigmoid(beta * x) * (1 + alpha * tanh(x))`, element-wise, any shape.

    With `alpha = 0, beta = 1` it is SiLU (Ramachandran et al. 2017, arXiv 1710.05941). `f(0) = 0` for all parameters,
    and `f(1) = 0.7311 * (1 + 0.7616 * alpha)` at `beta = 1`. Each layer has two trainable scalars, `alpha` and `beta`.

    Args:
        alpha: initial gain, dimensionless.
        beta: initial slope, dimensionless.
    """

    def __init__(self, alpha: float = 0.1, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial_alpha = float(alpha)
        self.initial_beta = float(beta)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.alpha = self.add_weight(
            name="alpha", shape=(), initializer=keras.initializers.Constant(self.initial_alpha)
        )
        self.beta = self.add_weight(name="beta", shape=(), initializer=keras.initializers.Constant(self.initial_beta))
        self.built = True

    def call(self, inputs: Any) -> Any:
        alpha, beta = ops.cast(self.alpha, inputs.dtype), ops.cast(self.beta, inputs.dtype)
        return inputs * ops.sigmoid(beta * inputs) * (1.0 + alpha * ops.tanh(inputs))

    def derivative(self, inputs: Any) -> Any:
        """Return `df/dx` at `inputs`, same shape, in forward operations, so that it can be exported."""
        alpha, beta = ops.cast(self.alpha, inputs.dtype), ops.cast(self.beta, inputs.dtype)
        gate, bend = ops.sigmoid(beta * inputs), ops.tanh(inputs)
        gain = 1.0 + alpha * bend
        return gate * gain + inputs * beta * gate * (1.0 - gate) * gain + inputs * gate * alpha * (1.0 - bend * bend)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "alpha": self.initial_alpha, "beta": self.initial_beta}
