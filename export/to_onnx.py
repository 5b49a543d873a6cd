"""Conversion of a trained Keras model to the served ONNX graph."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import TensorProto, helper, numpy_helper

from wbc.errors import ExportError
from wbc.inference import OUTPUTS
from wbc.labels import CLASSES
from wbc.saliency.closed_form import class_activation_maps, serving_outputs

OPSET = 17


def round_to_half(model: keras.Model) -> None:
    """Round every weight to half precision, in place; the arithmetic stays in single precision.

    Raises:
        ExportError: a weight is too large for half precision.
    """
    for variable in model.variables:
        value = np.asarray(variable)
        if value.dtype != np.float32:
            continue
        with np.errstate(over="ignore"):  # reported below, with the weight's name
            rounded = _to_half_and_back(value)
        if not np.isfinite(rounded).all():
            raise ExportError(
                f"{variable.path} has a weight of {np.abs(value).max():g}; half precision has a maximum of 65504"
            )
        variable.assign(rounded)


def to_onnx(model: keras.Model, path: Path) -> None:
    """Write the graph `image uint8 (N, S, S, 3) -> logits, aux_logit, embedding, cam`, opset 17.

    The graph includes the scaling of the image and the class activation maps. Large weights that half precision can
    represent are stored in it and cast on load, which is exact and halves the file.
    """
    served = serving_outputs(model)
    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")])  # type: ignore[untyped-decorator]
    def forward(image: tf.Tensor) -> tuple[tf.Tensor, ...]:
        outputs = served(image, training=False)
        maps = class_activation_maps(model, outputs["attended"])
        return outputs["logits"], outputs["aux_logit"], outputs["embedding"], maps

    graph, _ = tf2onnx.convert.from_function(forward, input_signature=forward.input_signature, opset=OPSET)
    _name_outputs(graph, served, model)
    _store_in_half(graph, model)
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _name_outputs(graph: onnx.ModelProto, served: keras.Model, model: keras.Model) -> None:
    """Give the graph's outputs their names and static shapes."""
    height, width = served.output["attended"].shape[1:3]
    shapes = ((len(CLASSES),), (1,), (served.output["embedding"].shape[1],), (len(CLASSES), height, width))
    for index, (name, shape) in enumerate(zip(OUTPUTS, shapes, strict=True)):
        old = graph.graph.output[index].name
        graph.graph.node.append(helper.make_node("Identity", [old], [name], name=f"output_{name}"))
        graph.graph.output[index].CopyFrom(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]))
    size = model.input_shape[1]
    old = graph.graph.input[0].name
    graph.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3]))
    for node in graph.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = "image"


def _store_in_half(graph: onnx.ModelProto, model: keras.Model, min_elements: int = 1024) -> None:
    """Store large initializers as float16 and cast them on load, if that is exact.

    A kernel that the converter multiplied with the gain of the batch normalisation after it is stored as both factors.
    """
    kernels = [
        np.asarray(layer.kernel).transpose(3, 2, 0, 1)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D) and not isinstance(layer, keras.layers.DepthwiseConv2D)
    ]
    added, scales = [], []
    for initializer in graph.graph.initializer:
        value = numpy_helper.to_array(initializer)
        if value.dtype != np.float32 or value.size < min_elements:
            continue
        name = initializer.name
        if np.array_equal(_to_half_and_back(value), value):
            initializer.CopyFrom(numpy_helper.from_array(value.astype(np.float16), f"{name}:half"))
            added.append(helper.make_node("Cast", [f"{name}:half"], [name], to=TensorProto.FLOAT))
        elif (factors := _find_factors(value, kernels)) is not None:
            kernel, gain = factors
            initializer.CopyFrom(numpy_helper.from_array(kernel.astype(np.float16), f"{name}:half"))
            scales.append(numpy_helper.from_array(gain, f"{name}:gain"))
            added.append(helper.make_node("Cast", [f"{name}:half"], [f"{name}:single"], to=TensorProto.FLOAT))
            added.append(helper.make_node("Mul", [f"{name}:single", f"{name}:gain"], [name]))
    graph.graph.initializer.extend(scales)
    nodes = [*added, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _to_half_and_back(value: np.ndarray) -> np.ndarray:
    return value.astype(np.float16).astype(np.float32)


def _find_factors(value: np.ndarray, kernels: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return `(kernel, gain)` with `kernel * gain == value` in single precision and one gain per output channel."""
    for kernel in kernels:
        if kernel.shape != value.shape or not np.array_equal(_to_half_and_back(kernel), kernel):
            continue
        rows, flat = kernel.reshape(len(kernel), -1), value.reshape(len(value), -1)
        largest = np.abs(rows).argmax(axis=1)
        picked = np.arange(len(rows)), largest
        if (rows[picked] == 0).any():
            continue
        gain = (flat[picked] / rows[picked]).reshape(-1, *[1] * (value.ndim - 1)).astype(np.float32)
        if np.allclose(kernel * gain, value, rtol=1e-6, atol=1e-9):
            return kernel, gain
    return None
