"""Class biases and temperature from sources left out."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from training.cross_fit import LeftOut, Shift, cross_fit, fit_shift, score_left_out, score_parts, summarise
from wbc.data.cache import ImageCache
from wbc.errors import InvalidParameter
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved models


def part(source: str, shift: np.ndarray, seed: int) -> LeftOut:
    """Cells whose logits are wrong by a constant for each class and four times too large; monocytes are larger."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (400, 5))
    logits[np.arange(400), labels] += 2.0
    diameters = np.where(labels == 3, 2.1, 1.6) * np.exp(rng.normal(0, 0.12, 400))
    diameters[::10] = np.nan
    return LeftOut(f"without-{source}", source, 4 * (logits + shift), labels, diameters)


SHIFT = np.array([0.0, 1.0, -1.0, 0.5, -0.5])


def test_the_corrections_are_found() -> None:
    parts = [part("a", SHIFT, 0), part("b", SHIFT, 1)]
    shift = fit_shift(parts)
    assert shift.bias.sum() == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(shift.bias, -SHIFT)[0, 1] > 0.9
    assert shift.temperature > 1.5
    assert shift.cell_size.slope > 1
    plain = [LeftOut(p.run, p.source, p.logits, p.labels, np.full(400, np.nan)) for p in parts]
    without = fit_shift(plain)
    assert without.cell_size.slope == pytest.approx(0, abs=1e-4)

    def right(found: Shift, given: LeftOut) -> float:
        return float((found(given).argmax(axis=1) == given.labels).mean())

    assert right(shift, parts[0]) > right(without, plain[0])


def test_a_source_is_scored_with_the_biases_of_the_others() -> None:
    parts = [part("a", SHIFT, 0), part("b", SHIFT, 1)]
    rows = score_parts(parts, parts)
    for row in rows:
        assert row["cross_fitted"]["val_balanced_accuracy"] > row["val_balanced_accuracy"] + 0.02
        assert set(row["recall"]) == {"Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"}
        assert row["cross_fitted"]["calibration_error"] < row["calibration_error"]
        assert 0 < row["cross_fitted"]["unflagged"] <= 1
    assert "cross_fitted" not in score_parts(parts[:1], parts[:1])[0]


def test_seeds_are_summed_up_by_source() -> None:
    fitted = [part("a", SHIFT, 0), part("b", SHIFT, 1)]
    rows = score_parts([part("a", SHIFT, 2), part("a", SHIFT, 3), part("b", SHIFT, 4)], fitted)
    found = summarise(rows)
    assert {source: row["runs"] for source, row in found.items()} == {"a": 2, "b": 1}
    scored = [row["val_balanced_accuracy"] for row in rows[:2]]
    assert found["a"]["balanced_accuracy_mean"] == pytest.approx(np.mean(scored), abs=1e-3)
    assert found["a"]["balanced_accuracy_sd"] == pytest.approx(np.std(scored, ddof=1), abs=1e-3)
    assert found["b"]["balanced_accuracy_sd"] == 0


def test_the_head_holds_the_biases(tiny_run: Path, drawn_dataset: Path, tmp_path: Path) -> None:
    found = cross_fit(tiny_run, [(tiny_run, "Val")], tmp_path / "out", drawn_dataset, [(tiny_run, "Val")])
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
