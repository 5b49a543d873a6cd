"""Conversion of a bundle's graph to 8-bit integers and to half precision."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorData, TensorsData, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16

from wbc.errors import ExportError

QUANTIZED = ("Conv", "Relu", "Clip", "Add", "Concat", "MaxPool", "AveragePool")
"""Operators that are computed in 8-bit integers."""

SAME_SCALE = ("Concat", "MaxPool")
"""Operators whose inputs and output share one range, so that values are rounded only once."""

CALIBRATION_BATCH = 4


def quantize_int8(source: Path, target: Path, images: NDArray[np.uint8]) -> None:
    """Write the graph with its backbone in 8-bit integers (static quantisation in QDQ format).

    Weights are signed, with one scale per output channel; activations are unsigned, with one scale per tensor from the
    range of its values on `images`. Three measures preserve the accuracy:

    - Attention, heads, maps and the last activation of the backbone, which they read, stay in single precision.
    - A multiplication and addition per channel, which a batch normalisation leaves between two other operators, becomes
      a depthwise 1x1 convolution: its factors keep their precision, and its result is rounded once instead of twice.
    - All tensors of a dense block share one range; otherwise each of its concatenations would round the features of all
      earlier layers again.

    Args:
        source: `model.onnx` of a bundle.
        target: file to write.
        images: prepared training images, uint8 (N, S, S, 3).

    Raises:
        ExportError: the graph has no global average pooling, with which the attention block begins.
    """
    model = _fold_constants(source)
    _convert_scalings(model.graph)
    model = onnx.shape_inference.infer_shapes(model)
    backbone = _find_backbone(model.graph)
    quantized = [node for node in backbone if node.op_type in QUANTIZED]
    ranges = _measure_ranges(model, images)
    _share_ranges(ranges, quantized)
    quantizer = QDQQuantizer(
        model,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QUInt8,
        tensors_range=ranges,
        nodes_to_quantize=[node.name for node in quantized],
        nodes_to_exclude=[],
        op_types_to_quantize=list(QUANTIZED),
        extra_options={},
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    _save(quantizer.model.model, target)


def to_fp16(source: Path, target: Path) -> None:
    """Write the graph with weights and arithmetic in half precision; inputs and outputs keep their types."""
    _save(convert_float_to_float16(_fold_constants(source), keep_io_types=True), target)


def _save(model: onnx.ModelProto, target: Path) -> None:
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def _fold_constants(source: Path) -> onnx.ModelProto:
    """Load the graph with folded constants, so that weights stored in half precision become single precision."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3  # hides a warning for each initializer that folding leaves unused
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def _convert_scalings(graph: onnx.GraphProto) -> None:
    """Replace each `x * gain + offset`, with one gain and offset per channel, by a depthwise 1x1 convolution."""
    constants = {one.name: one for one in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)

    def split_inputs(node: onnx.NodeProto) -> tuple[str, NDArray[np.float32]] | None:
        """Return the variable input and the constant one if the latter is (1, C, 1, 1) or (C, 1, 1)."""
        for variable, constant in (node.input, reversed(node.input)):
            if constant in constants and variable not in constants:
                value = numpy_helper.to_array(constants[constant])
                if value.ndim >= 3 and value.shape[-2:] == (1, 1) and value.size == value.shape[-3]:
                    return variable, value.reshape(-1)
        return None

    nodes, replaced = [], set[str]()
    for node in graph.node:
        if node.output[0] in replaced:
            continue
        after = readers.get(node.output[0], [])
        gain = split_inputs(node) if node.op_type == "Mul" else None
        offset = split_inputs(after[0]) if gain and len(after) == 1 and after[0].op_type == "Add" else None
        if gain is None or offset is None or len(gain[1]) != len(offset[1]):
            nodes.append(node)
            continue
        channels = len(gain[1])
        names = [f"{node.name}:gain", f"{node.name}:offset"]
        values = [gain[1].reshape(-1, 1, 1, 1), offset[1]]
        graph.initializer.extend(numpy_helper.from_array(v, name) for v, name in zip(values, names, strict=True))
        output = after[0].output[0]
        nodes.append(
            helper.make_node(
                "Conv", [gain[0], *names], [output], name=f"{node.name}:scaling", group=channels, kernel_shape=[1, 1]
            )
        )
        replaced.add(output)
    used = {name for node in nodes for name in node.input}
    kept = [one for one in graph.initializer if one.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)


def _find_backbone(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes before the attention block, without the last activation and its input."""
    makers = {output: node for node in graph.node for output in node.output}
    pooling = next((node for node in graph.node if node.op_type == "GlobalAveragePool"), None)
    if pooling is None:
        raise ExportError("the graph has no GlobalAveragePool; a graph with the attention block is expected")
    last = makers[pooling.input[0]]
    waiting = list(last.input)
    if last.op_type in ("Relu", "Clip"):
        waiting = list(makers[last.input[0]].input)
    found: dict[str, onnx.NodeProto] = {}
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found:
            found[node.name] = node
            waiting += node.input
    return list(found.values())


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    """Prepared images in batches, for the calibration."""

    def __init__(self, images: NDArray[np.uint8]) -> None:
        starts = range(0, len(images), CALIBRATION_BATCH)
        self._batches: Iterator[NDArray[np.uint8]] = (images[start : start + CALIBRATION_BATCH] for start in starts)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": np.ascontiguousarray(batch)}


def _measure_ranges(model: onnx.ModelProto, images: NDArray[np.uint8]) -> TensorsData:
    """Return the minimum and maximum of each tensor over the images; memory does not grow with their number."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, str(path))
        calibrator = create_calibrator(
            path,
            list(QUANTIZED),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Batches(images))
        return calibrator.compute_data()


def _share_ranges(ranges: TensorsData, nodes: list[onnx.NodeProto]) -> None:
    """Give the tensors that `SAME_SCALE` nodes connect the union of their ranges."""
    groups: list[set[str]] = []
    for node in nodes:
        if node.op_type in SAME_SCALE:
            names = {*node.input, *node.output}
            touched = [group for group in groups if group & names]
            groups = [group for group in groups if not group & names]
            groups.append(names.union(*touched))
    for group in groups:
        lowest = np.min([ranges[name].range_value[0] for name in group])
        highest = np.max([ranges[name].range_value[1] for name in group])
        for name in group:
            ranges[name] = TensorData(lowest=np.asarray(lowest, np.float32), highest=np.asarray(highest, np.float32))
