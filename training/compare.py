"""The backbone comparison: every network trained, judged and timed under one protocol."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import keras

from training import checkpoint, figures
from training.backbones import ARCHITECTURES, build_checked
from training.config import TrainingConfig
from training.fit import train_model
from training.latency import keras_ms, onnx_ms
from wbc.data.dataset import cores
from wbc.errors import InvalidParameter
from wbc.run_record import TrainingRecord, write_rows

log = logging.getLogger("wbc.training")

FAST = {"limit": 60, "img_size": 96, "phase1_epochs": 1, "phase2_epochs": 2, "batch_size": 16}
"""What `--fast` sets where it was not given otherwise: a run through of minutes, whose scores rank nothing."""

Maker = Callable[[str, int, str], keras.Model]


@dataclass(frozen=True, slots=True)
class Compared:
    """A row of the table.

    Attributes:
        model: name of the network.
        parameters: all its weights.
        val_accuracy: of its best epoch, on the validation split.
        val_macro_f1: of the same epoch.
        keras_ms: median milliseconds an image in Keras, batch 1.
        onnx_ms: median milliseconds an image in ONNX Runtime, batch 1.
        image_size: side of the input at which it was trained and timed.
        train_images: that it learnt from.
        epochs: finished.
        wall_time_s: of training.
    """

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
    """Train and time the networks one after the other; what is finished already in the folder is not done again.

    Each network has a run of its own in `results_dir/NAME`, with the report of every run. `results_dir` gets
    `comparison.csv`, `comparison.md` and `comparison.png`.

    Args:
        config: the protocol, the same for all but the folder; the focus monitor and the reduction of the input, which
            the plain networks lack, are off.
        models: names of `ARCHITECTURES`.
        make: builds a network from name, side and start; tests build tiny ones.

    Raises:
        InvalidParameter: an unknown name, a start that differs between networks, or a folder of another protocol.
    """
    unknown = [name for name in models if name not in ARCHITECTURES]
    if unknown or not models:
        raise InvalidParameter(f"models {', '.join(unknown) or '(none)'}; {', '.join(ARCHITECTURES)} are accepted")
    rows = [_one(config, name, make) for name in models]
    folder = config.results_dir
    write_rows(folder / "comparison.csv", [asdict(row) for row in rows])
    (folder / "comparison.md").write_text(table(rows))
    figures.speed_against_score([(row.model, row.onnx_ms, row.val_macro_f1) for row in rows], folder / "comparison.png")
    return rows


def _one(config: TrainingConfig, name: str, make: Maker) -> Compared:
    """A network's row: read from its folder, or trained, timed and written there."""
    folder = config.results_dir / name
    run = config.model_copy(
        update={"results_dir": folder, "model_path": None, "xai_sample_count": 0, "input_reduction": 1}
    )
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
    record = train_model(run, lambda c: make(name, c.img_size, c.weights), resume=checkpoint.exists(folder))
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
    """The comparison as a Markdown table."""
    lines = [
        "| network | parameters, M | val accuracy, % | val macro F1 | Keras, ms | ONNX Runtime, ms | trained in, s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.model} | {row.parameters / 1e6:.2f} | {100 * row.val_accuracy:.2f} | {row.val_macro_f1:.4f} "
        f"| {row.keras_ms:.1f} | {row.onnx_ms:.1f} | {row.wall_time_s:.0f} |"
        for row in rows
    ]
    first = rows[0]
    lines += [
        "",
        f"{first.train_images} training images at {first.image_size} px, {first.epochs} epochs, one seed. "
        "Milliseconds an image: batch 1, warmed up, median of 20.",
    ]
    return "\n".join(lines) + "\n"
