"""Grad-CAM of all classes in closed form, from forward operations that can be exported."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from wbc.nn.classifier import ATTENTION


def class_activation_maps(model: keras.Model, attended: Any) -> Any:
    """Compute Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391) of each logit at the output of the attention block.

    From that layer only global average pooling and the dense head lead to a logit, so

        d logit_c / d A[i, j, k] = J[c, k] / (h * w),    cam_c = ReLU(sum_k mean_ij(gradient)_k * A[:, :, k])

    with `J` the head's Jacobian at the pooled vector: the product of its weight matrices, of the batch norm's
    gains and of MedSwish's derivative at the point. Exact for inference mode (dropout off, moving statistics).

    Args:
        model: a classifier of `wbc.nn.build_classifier`.
        attended: the attention block's output, (N, h, w, C).

    Returns:
        (N, 5, h, w), not negative, not scaled.
    """
    pooled = ops.mean(attended, axis=(1, 2))
    slopes = []
    x = pooled
    for index in (1, 2):
        dense, norm = model.get_layer(f"dense_{index}"), model.get_layer(f"norm_{index}")
        swish = model.get_layer(f"medswish_{index}")
        before = norm(dense(x), training=False)
        gain = norm.gamma / ops.sqrt(norm.moving_variance + norm.epsilon)
        slopes.append((dense.kernel, gain * swish.derivative(before)))
        x = swish(before)
    (kernel_1, slope_1), (kernel_2, slope_2) = slopes
    head = ops.transpose(model.get_layer("main_out").kernel)
    jacobian = ops.matmul(ops.expand_dims(slope_2, 1) * head, ops.transpose(kernel_2))
    jacobian = ops.matmul(ops.expand_dims(slope_1, 1) * jacobian, ops.transpose(kernel_1))
    height, width, channels = attended.shape[1:]
    maps = ops.matmul(jacobian, ops.transpose(ops.reshape(attended, (-1, height * width, channels)), (0, 2, 1)))
    maps = ops.relu(maps) / float(height * width)
    return ops.reshape(maps, (-1, jacobian.shape[1], height, width))


def serving_outputs(model: keras.Model) -> keras.Model:
    """Return the model with the outputs needed for serving, including the attention block's."""
    return keras.Model(
        model.input,
        {
            "logits": model.output["main_out"],
            "aux_logit": model.output["aux_binary_out"],
            "embedding": model.get_layer("embedding").output,
            "attended": model.get_layer(ATTENTION).output,
        },
    )
