"""A bundle without a network: its graph reads the logits from rings along the border of a picture.

A test chooses every prediction, and the whole pipeline runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from wbc.adaptation.review import ReviewThresholds
from wbc.bundle import ONNX, Bundle, DataSource, Manifest, sha256, write_manifest
from wbc.images import encode_png
from wbc.labels import CLASSES
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor, probe
from wbc.preprocessing.stain import ReinhardReference

SIZE = 64
RING = 2
"""Width of a ring in pixels; the five rings of the five classes lie around each other, the first outermost."""

LEVEL, STEP = 200, 0.2
"""A ring of level 200 is a logit of 0, and each level above it is 0.2 more."""


TRAINING = {
    "config": {},
    "train_counts": dict.fromkeys(CLASSES, 10),
    "val_counts": dict.fromkeys(CLASSES, 2),
    "best_epoch": 1,
    "val_accuracy": 1.0,
    "val_balanced_accuracy": 1.0,
    "val_loss": 0.1,
    "wall_time_s": 1.0,
    "versions": {},
}


def ring(index: int) -> NDArray[np.bool_]:
    """The pixels of a class' ring, bool (SIZE, SIZE); the same after any turn or flip."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    depth = np.minimum(np.minimum(rows, columns), np.minimum(SIZE - 1 - rows, SIZE - 1 - columns))
    return np.asarray(depth // RING == index)


def picture(
    logits: Sequence[float], *, nuclei: int = 1, tint: tuple[int, int, int] = (92, 56, 140)
) -> NDArray[np.uint8]:
    """A cell whose graph outputs are these logits (multiples of 0.2, 0 to 11)."""
    canvas = np.full((SIZE, SIZE, 3), 240, np.uint8)
    rng = np.random.default_rng(3)
    canvas = np.clip(canvas + rng.normal(0, 1.5, canvas.shape), 0, 255).astype(np.uint8)
    for x in np.linspace(0, SIZE, nuclei + 2)[1:-1]:
        cv2.circle(canvas, (int(x), SIZE // 2), 11 if nuclei == 1 else 7, tint, -1)
    for index, logit in enumerate(logits):
        canvas[ring(index)] = LEVEL + round(logit / STEP)
    return canvas


def sure(label: str, margin: float = 8.0) -> list[float]:
    """Return logits that predict a class with a margin over all others."""
    return [margin if name == label else 0.0 for name in CLASSES]


def write_pictures(root: Path, split: str, pictures: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """Write a split: for each true class the logits of its pictures."""
    for label, every in pictures.items():
        folder = root / split / label
        folder.mkdir(parents=True, exist_ok=True)
        for number, logits in enumerate(every):
            (folder / f"{number:03d}.png").write_bytes(encode_png(picture(logits)))


def write_graph(path: Path) -> None:
    """Write the graph `image -> logits, aux_logit, embedding, cam` that reads the rings."""
    weights = np.zeros((SIZE, SIZE, 3, len(CLASSES)), np.float32)
    for index in range(len(CLASSES)):
        weights[ring(index), :, index] = STEP / (3 * ring(index).sum())
    aux = np.zeros((len(CLASSES), 1), np.float32)
    aux[CLASSES.index("Neutrophil")], aux[CLASSES.index("Lymphocyte")] = 1.0, -1.0
    tensors = {
        "weights": weights.reshape(-1, len(CLASSES)),
        "offset": np.full(len(CLASSES), -LEVEL * STEP, np.float32),
        "aux": aux,
        "flat": np.array([-1, SIZE * SIZE * 3], np.int64),
        "dark": np.full((len(CLASSES), 3, 1, 1), -1 / 3, np.float32),
        "white": np.full(len(CLASSES), 255.0, np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["float", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["sums"]),
        helper.make_node("Add", ["sums", "offset"], ["logits"]),
        helper.make_node("MatMul", ["logits", "aux"], ["aux_logit"]),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("AveragePool", ["planes"], ["coarse"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["coarse", "dark", "white"], ["darkness"]),
        helper.make_node("Relu", ["darkness"], ["cam"]),
        helper.make_node("ReduceMean", ["planes"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("Concat", ["logits", "colour"], ["embedding"], axis=1),
    ]
    side = SIZE // 8
    outputs = {"logits": [5], "aux_logit": [1], "embedding": [8], "cam": [5, side, side]}
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape]) for name, shape in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def write_toy_bundle(folder: Path, **fields: Any) -> Bundle:
    """Write a bundle with the graph; `fields` replace those of its manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(folder / ONNX)
    spec = Preprocessing(
        size=SIZE,
        framing=Framing(mode="off"),
        reinhard=ReinhardReference(mean=(80.0, 8.0, -6.0), std=(16.0, 9.0, 12.0)),
    )
    values: dict[str, Any] = {
        "name": "toy",
        "version": "1",
        "created": "2026-01-01T00:00:00+00:00",
        "labels": CLASSES,
        "preprocessing": spec,
        "preprocessing_probe": probe(Preprocessor(spec)),
        "temperature": 1.0,
        "review": ReviewThresholds(min_confidence=0.9, min_focus_lift=None),
        "gradcam_layer": "none",
        "opset": 17,
        "parity": {},
        "training": TRAINING,
        "data": DataSource(name="toy pictures", licence="MIT", citation="none"),
        "versions": {},
        "files": {ONNX: sha256(folder / ONNX)},
    }
    write_manifest(folder, Manifest(**(values | fields)))
    return Bundle.load(folder)
