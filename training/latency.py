"""How long a network takes for one image, measured the same way for all: warmed up, medians."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np

from training.batches import MAIN


def milliseconds(call: Callable[[], object], repeats: int, warm_up: int = 3) -> float:
    """Median milliseconds of a call, after some that are not counted."""
    for _ in range(warm_up):
        call()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return 1000.0 * float(np.median(taken))


def keras_ms(model: keras.Model, repeats: int = 20) -> float:
    """Median milliseconds of a compiled forward pass in Keras, batch 1."""
    image = np.zeros((1, *model.input_shape[1:]), np.uint8)
    return milliseconds(lambda: model.predict_on_batch(image), repeats)


def onnx_ms(model: keras.Model, threads: int, repeats: int = 20) -> float:
    """Median milliseconds of a forward pass in ONNX Runtime on the CPU, batch 1: the main logits alone, fp32, opset 17.

    Needs the TensorFlow backend, which is the one that exports.
    """
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx
    from onnx import numpy_helper

    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")])  # type: ignore[untyped-decorator]
    def forward(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)[MAIN]

    graph, _ = tf2onnx.convert.from_function(forward, input_signature=forward.input_signature, opset=17)
    # A layer's constant tensors are captured as further inputs, in EfficientNet for one.
    captures = forward.get_concrete_function().graph.captures
    constants = {inner.name: value.numpy() for value, inner in captures if value.dtype != tf.resource}
    graph.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    kept = [given for given in graph.graph.input if given.name not in constants]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(graph.SerializeToString())
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = np.zeros((1, size, size, 3), np.uint8)
    name = session.get_inputs()[0].name
    return milliseconds(lambda: session.run(None, {name: image}), repeats)
