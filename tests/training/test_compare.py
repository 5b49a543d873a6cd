"""The comparison: one protocol, a table and a plot, and no network trained twice."""

from __future__ import annotations

import csv

import keras
import pytest
from conftest import tiny_backbone

from training.batches import MAIN
from training.compare import FAST, compare, onnx_ms
from training.config import TrainingConfig
from wbc.errors import InvalidParameter
from wbc.nn.classifier import build_classifier

PLAIN, ATTENTION = "MobileNetV2", "DenseNet121-attention-MedSwish"


def tiny(name, size, weights):
    """Build a small plain network or a small classifier."""
    if name == ATTENTION:
        return build_classifier(size, tiny_backbone)
    image = keras.Input((size, size, 3), dtype="uint8", name="image")
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(tiny_backbone(keras.layers.Rescaling(1 / 255.0)(image)))
    return keras.Model(image, {MAIN: keras.layers.Dense(5, name=MAIN)(x)})


def test_the_comparison_is_resumed_and_written_as_table_and_plot(settings_for):
    made = []

    def make(*arguments):
        made.append(arguments[0])
        return tiny(*arguments)

    config = settings_for(phase2_epochs=0, xai_sample_count=5)
    folder = config.results_dir
    first = compare(config, [PLAIN], make=make)
    rows = compare(config, [PLAIN, ATTENTION], make=make)
    assert made == [PLAIN, ATTENTION]
    assert rows[0] == first[0]
    assert [row.model for row in rows] == [PLAIN, ATTENTION]
    assert all(row.keras_ms > 0 and row.onnx_ms > 0 and 0 <= row.val_macro_f1 <= 1 for row in rows)
    with (folder / "comparison.csv").open() as file:
        assert [row["model"] for row in csv.DictReader(file)] == [PLAIN, ATTENTION]
    assert f"| {PLAIN} | 0.00 |" in (folder / "comparison.md").read_text()
    assert (folder / "comparison.png").stat().st_size > 1000
    assert (folder / PLAIN / "report.html").is_file()
    with pytest.raises(InvalidParameter, match="compared with another seed"):
        compare(config.model_copy(update={"seed": 5}), [PLAIN], make=make)


def test_unknown_models_are_refused_before_anything_is_trained(settings_for):
    with pytest.raises(InvalidParameter, match="models VGG19; VGG16, "):
        compare(settings_for(), ["VGG16", "VGG19"], make=tiny)


def test_fast_names_settings_that_exist():
    assert FAST.keys() <= TrainingConfig.model_fields.keys()
    TrainingConfig(**FAST)


def test_a_network_with_constant_tensors_is_timed_in_onnx_runtime():
    image = keras.Input((32, 32, 3), dtype="uint8", name="image")
    x = keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 4.0, 4.0])(image)
    logits = keras.layers.Dense(5, name=MAIN)(keras.layers.GlobalAveragePooling2D()(x))
    assert onnx_ms(keras.Model(image, {MAIN: logits}), threads=1, repeats=1) > 0
