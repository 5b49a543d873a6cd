"""Class biases and temperature from sources left out."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from training.cross_fit import LeftOut, cross_fit, fit_temperature_and_bias, score_left_out, score_parts
from wbc.data.cache import ImageCache
from wbc.errors import InvalidParameter
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved models


def part(source: str, shift: np.ndarray, seed: int) -> LeftOut:
    """Cells whose logits are wrong by a constant for each class and four times too large."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (400, 5))
    logits[np.arange(400), labels] += 2.0
    return LeftOut(f"without-{source}", source, 4 * (logits + shift), labels)


SHIFT = np.array([0.0, 1.0, -1.0, 0.5, -0.5])


def test_bias_and_temperature_are_found() -> None:
    temperature, bias = fit_temperature_and_bias([part("a", SHIFT, 0), part("b", SHIFT, 1)])
    assert bias.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(bias, -SHIFT * 4 / temperature, atol=0.45)
    assert temperature > 1.5


def test_a_source_is_scored_with_the_biases_of_the_others() -> None:
    rows = score_parts([part("a", SHIFT, 0), part("b", SHIFT, 1)])
    for row in rows:
        assert row["cross_fitted"]["val_balanced_accuracy"] > row["val_balanced_accuracy"] + 0.02
        assert set(row["recall"]) == {"Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"}
    assert "cross_fitted" not in score_parts([part("a", SHIFT, 0)])[0]


def test_the_head_holds_the_biases(tiny_run: Path, drawn_dataset: Path, tmp_path: Path) -> None:
    found = cross_fit(tiny_run, [(tiny_run, "Val")], tmp_path / "out", drawn_dataset)
    before, after = (
        keras.saving.load_model(folder / "model.keras", compile=False).get_layer("main_out").get_weights()
        for folder in (tiny_run, tmp_path / "out")
    )
    shift = found["temperature"] * np.array(list(found["bias"].values()))
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_allclose(after[1] - before[1], shift, atol=1e-4)
    assert json.loads((tmp_path / "out" / "training.json").read_text())["left_out"] == found


def test_a_source_that_was_trained_on_is_refused(tiny_run: Path, drawn_dataset: Path) -> None:
    with pytest.raises(InvalidParameter, match="was trained on Train"):
        score_left_out(tiny_run, "Train", drawn_dataset, ImageCache(None))
