"""Backbones of the classifier and the ImageNet weights of EfficientNet-Lite0."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wbc.errors import InvalidParameter
from wbc.nn.names import BackboneName
from wbc.settings import REPOSITORY

LITE0 = "lite0_scale"
"""Name of the first layer of `efficientnet_lite0`; no other backbone has it."""

IMAGENET_LITE0 = REPOSITORY / "models" / "backbones" / "efficientnet-lite0-imagenet.npz"
"""ImageNet weights in half precision, Apache-2.0; see the notice next to the file."""

Backbone = Callable[[Any], Any]
"""Function from a float image `(N, S, S, 3)` in [0, 1] to a feature map `(N, h, w, C)`, as Keras tensors."""

LITE0_STAGES = (
    # repeats, kernel, stride, expansion, output channels; the published last stride of 2 is 1 with dilation 2
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946, the Lite release of 2020)."""


def densenet121(image: Any) -> Any:
    """Apply DenseNet121 without its top, randomly initialised: `(N, S, S, 3)` to `(N, S/32, S/32, 1024)`."""
    return keras.applications.DenseNet121(include_top=False, weights=None, input_tensor=image).output


def efficientnet_lite0(image: Any) -> Any:
    """Apply EfficientNet-Lite0 without its top, randomly initialised: `(N, S, S, 3)` to `(N, S/16, S/16, 1280)`.

    It has ReLU6 activations and no squeeze-and-excitation. The last strided stage has stride 1 and dilation 2 instead
    of stride 2 (Chen et al. 2017, arXiv 1706.05587): the published weights fit, and the class activation maps of a
    128-pixel input have 8x8 positions instead of 4x4.
    """
    x = keras.layers.Rescaling(255 / 128, offset=-127 / 128, name=LITE0)(image)
    x = _conv(x, 32, 3, "stem", stride=2)
    index, channels, dilation = 0, 32, 1
    for repeats, kernel, stage_stride, expansion, out in LITE0_STAGES:
        for repeat in range(repeats):
            stride = stage_stride if repeat == 0 else 1
            if index == 11:  # the first block of the last strided stage
                stride = 1
            x = _block(x, f"block{index}", kernel, stride, expansion, channels, out, dilation)
            if index == 11:
                dilation = 2
            index, channels = index + 1, out
    return _conv(x, 1280, 1, "head")


BACKBONES: dict[BackboneName, Backbone] = {"densenet121": densenet121, "efficientnet-lite0": efficientnet_lite0}
"""Backbones by name."""


def _norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=f"{name}_norm")(x)


def _conv(x: Any, filters: int, kernel: int, name: str, *, stride: int = 1, relu: bool = True) -> Any:
    x = keras.layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = _norm(x, name)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x


def _block(x: Any, name: str, kernel: int, stride: int, expansion: int, channels: int, out: int, dilation: int) -> Any:
    """Apply an inverted residual block (Sandler et al. 2018, arXiv 1801.04381)."""
    before = x
    if expansion != 1:
        x = _conv(x, channels * expansion, 1, f"{name}_expand")
    x = keras.layers.DepthwiseConv2D(
        kernel, stride, padding="same", use_bias=False, dilation_rate=dilation, name=f"{name}_depthwise_conv"
    )(x)
    x = keras.layers.ReLU(6.0, name=f"{name}_depthwise_relu")(_norm(x, f"{name}_depthwise"))
    x = _conv(x, out, 1, f"{name}_project", relu=False)
    return keras.layers.Add(name=f"{name}_add")([x, before]) if stride == 1 and channels == out else x


def load_lite0_tensors(layers: dict[str, keras.layers.Layer], path: Path) -> None:
    """Load an ImageNet checkpoint in PyTorch's layout into the layers of `efficientnet_lite0`, given by name.

    Raises:
        InvalidParameter: a tensor is missing or has another shape.
    """
    with np.load(path) as file:
        tensors = {name: np.asarray(file[name], np.float32) for name in file.files}
    try:
        _set(layers, "stem", tensors, "_conv_stem", "_bn0")
        for index in range(sum(stage[0] for stage in LITE0_STAGES)):
            source, name = f"_blocks.{index}", f"block{index}"
            if f"{source}._expand_conv.weight" in tensors:
                _set(layers, f"{name}_expand", tensors, f"{source}._expand_conv", f"{source}._bn0")
            _set(layers, f"{name}_depthwise", tensors, f"{source}._depthwise_conv", f"{source}._bn1")
            _set(layers, f"{name}_project", tensors, f"{source}._project_conv", f"{source}._bn2")
        _set(layers, "head", tensors, "_conv_head", "_bn1")
    except (KeyError, ValueError) as error:
        raise InvalidParameter(f"{path} does not contain EfficientNet-Lite0: {error}") from error


def _set(
    layers: dict[str, keras.layers.Layer], name: str, tensors: dict[str, np.ndarray], conv: str, norm: str
) -> None:
    # (O, I, kh, kw) to (kh, kw, I, O); depthwise (C, 1, kh, kw) to (kh, kw, C, 1)
    weight = tensors[f"{conv}.weight"]
    order = (2, 3, 0, 1) if name.endswith("depthwise") else (2, 3, 1, 0)
    layers[f"{name}_conv"].set_weights([np.ascontiguousarray(weight.transpose(order))])
    parts = ("weight", "bias", "running_mean", "running_var")
    layers[f"{name}_norm"].set_weights([tensors[f"{norm}.{part}"] for part in parts])
