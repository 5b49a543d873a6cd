"""Backbone comparison: train, score and time several networks under one protocol."""

from __future__ import annotations

import json
import logging
import tempfile
import timeit
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from training import checkpoint, figures
from training.backbones import ARCHITECTURES, build_checked
from training.batches import MAIN
from training.config import TrainingConfig
from training.fit import train
from wbc.data.dataset import cores
from wbc.errors import InvalidParameter
from wbc.run_record import TrainingRecord, write_rows
from wbc.tables import Table

log = logging.getLogger("wbc.training")

FAST = {"limit": 60, "img_size": 96, "phase1_epochs": 1, "phase2_epochs": 2, "batch_size": 16}
"""Defaults of `--fast`: a test run of a few minutes, whose scores cannot rank the networks."""

Maker = Callable[[str, int, str], keras.Model]


@dataclass(frozen=True, slots=True)
class Compared:
    """One row of the comparison: scores of the best epoch, and median milliseconds per image at batch size 1."""

    model: str
    parameters: int
    val_accuracy: float
    val_macro_f1: float
    keras_ms: float
    onnx_ms: float
    image_size: int
    train_images: int
    epochs: int
    wall_time_s: float


def compare(
    config: TrainingConfig, models: Sequence[str] = tuple(ARCHITECTURES), *, make: Maker = build_checked
) -> list[Compared]:
    """Train and time the networks one after the other, except those already finished in the folder.

    Each network is a run in `results_dir/NAME`, with its report. `results_dir` gets `comparison.csv`, `comparison.md`
    and `comparison.png`.

    Args:
        config: protocol of all networks. The focus monitor and `input_reduction` are off: the plain networks have
            neither.
        models: names from `ARCHITECTURES`.
        make: builds a network from name, side and initial weights.

    Raises:
        InvalidParameter: unknown name, initial weights that not all networks have, or a folder with another protocol.
    """
    unknown = [name for name in models if name not in ARCHITECTURES]
    if unknown or not models:
        raise InvalidParameter(f"models {', '.join(unknown) or '(none)'}; {', '.join(ARCHITECTURES)} are accepted")
    rows = [_train_or_read(config, name, make) for name in models]
    folder = config.results_dir
    write_rows(folder / "comparison.csv", [asdict(row) for row in rows])
    (folder / "comparison.md").write_text(table(rows))
    figures.speed_against_score([(row.model, row.onnx_ms, row.val_macro_f1) for row in rows], folder / "comparison.png")
    return rows


def _train_or_read(config: TrainingConfig, name: str, make: Maker) -> Compared:
    """Read the row of a network from its folder, or train and time the network and write the row."""
    folder = config.results_dir / name
    changes = {"results_dir": folder, "model_path": None, "xai_sample_count": 0, "input_reduction": 1}
    run = config.model_copy(update=changes)
    file = folder / "compared.json"
    if file.is_file():
        record = TrainingRecord.model_validate_json((folder / "training.json").read_text())
        wanted = run.model_dump(mode="json")
        different = sorted(key for key in wanted if wanted[key] != record.config.get(key))
        if different:
            raise InvalidParameter(f"{folder} was compared with another {', '.join(different)}; name another folder")
        return Compared(**json.loads(file.read_text()))
    log.info("%s", name)
    keras.backend.clear_session()
    resume = checkpoint.exists(folder)
    record = train(run, build=lambda c: make(name, c.img_size, c.weights), resume=resume)
    model = keras.saving.load_model(folder / "model.keras", compile=False)
    row = Compared(
        model=name,
        parameters=model.count_params(),
        val_accuracy=record.val_accuracy,
        val_macro_f1=record.val_macro_f1 or 0.0,
        keras_ms=round(keras_ms(model), 2),
        onnx_ms=round(onnx_ms(model, cores()), 2),
        image_size=run.img_size,
        train_images=sum(record.train_counts.values()),
        epochs=len((folder / "history.csv").read_text().splitlines()) - 1,
        wall_time_s=record.wall_time_s,
    )
    file.write_text(json.dumps(asdict(row), indent=2) + "\n")
    return row


def table(rows: Sequence[Compared]) -> str:
    """Return the comparison as a Markdown table."""
    head = (
        "network",
        "parameters, M",
        "val accuracy, %",
        "val macro F1",
        "Keras, ms",
        "ONNX Runtime, ms",
        "training, s",
    )
    lines = [
        f"{row.model}|{row.parameters / 1e6:.2f}|{100 * row.val_accuracy:.2f}|{row.val_macro_f1:.4f}|"
        f"{row.keras_ms:.1f}|{row.onnx_ms:.1f}|{row.wall_time_s:.0f}".split("|")
        for row in rows
    ]
    first = rows[0]
    return (
        f"{Table(head, lines).markdown()}\n\n{first.train_images} training images at {first.image_size} px, "
        f"{first.epochs} epochs, one seed. Milliseconds per image: batch size 1, after warm-up, median of 20.\n"
    )


def keras_ms(model: keras.Model, repeats: int = 20) -> float:
    """Return the median milliseconds of a compiled forward pass in Keras, batch size 1."""
    image = np.zeros((1, *model.input_shape[1:]), np.uint8)
    return _median_ms(lambda: model.predict_on_batch(image), repeats)


def onnx_ms(model: keras.Model, threads: int, repeats: int = 20) -> float:
    """Return the median milliseconds of a forward pass in ONNX Runtime on the CPU, batch size 1.

    The graph (float32, opset 17) computes only the main logits. Export needs the TensorFlow backend.
    """
    import onnxruntime as ort
    import tensorflow as tf
    import tf2onnx
    from onnx import numpy_helper

    size = model.input_shape[1]

    @tf.function(input_signature=[tf.TensorSpec((None, size, size, 3), tf.uint8, name="image")])  # type: ignore[untyped-decorator]
    def forward(image: tf.Tensor) -> tf.Tensor:
        return model(image, training=False)[MAIN]

    converted, _ = tf2onnx.convert.from_function(forward, input_signature=forward.input_signature, opset=17)
    graph = converted.graph
    # tf2onnx turns a layer's constant tensors into inputs, for example in EfficientNet; make them initializers.
    captures = forward.get_concrete_function().graph.captures
    constants = {inner.name: value.numpy() for value, inner in captures if value.dtype != tf.resource}
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in constants.items())
    kept = [tensor for tensor in graph.input if tensor.name not in constants]
    del graph.input[:]
    graph.input.extend(kept)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(converted.SerializeToString())
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    image = {session.get_inputs()[0].name: np.zeros((1, size, size, 3), np.uint8)}
    return _median_ms(lambda: session.run(None, image), repeats)


def _median_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the median milliseconds of a call, after three warm-up calls."""
    timeit.repeat(call, number=1, repeat=3)
    return 1000.0 * float(np.median(timeit.repeat(call, number=1, repeat=repeats)))
