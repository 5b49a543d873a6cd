"""The correction for other devices, from sources left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from training.cross_fit import Correction, LeftOut, cross_fit, fit_correction, score_left_out, score_parts, summarise
from wbc.data.cache import ImageCache
from wbc.errors import InvalidParameter
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved models


def part(source: str, seed: int) -> LeftOut:
    """Cells whose logits are four times too large; monocytes are larger."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 5, 400)
    logits = rng.normal(0, 1, (400, 5))
    logits[np.arange(400), labels] += 2.0
    diameters = np.where(labels == 3, 2.1, 1.6) * np.exp(rng.normal(0, 0.12, 400))
    diameters[::10] = np.nan
    return LeftOut(f"without-{source}", source, 4 * logits, labels, diameters)


def test_the_correction_is_found() -> None:
    parts = [part("a", 0), part("b", 1)]
    found = fit_correction(parts)
    assert found.temperature > 1.5
    assert found.cell_size.slope > 1
    plain = [LeftOut(p.run, p.source, p.logits, p.labels, np.full(400, np.nan)) for p in parts]
    without = fit_correction(plain)
    assert without.cell_size.slope == pytest.approx(0, abs=1e-4)

    def right(correction: Correction, given: LeftOut) -> float:
        return float((correction(given).argmax(axis=1) == given.labels).mean())

    assert right(found, parts[0]) > right(without, plain[0])


def test_a_source_is_scored_with_the_correction_of_the_others() -> None:
    parts = [part("a", 0), part("b", 1)]
    rows = score_parts(parts, parts)
    for row in rows:
        assert row["cross_fitted"]["val_balanced_accuracy"] > row["val_balanced_accuracy"]
        assert set(row["recall"]) == {"Basophil", "Eosinophil", "Lymphocyte", "Monocyte", "Neutrophil"}
        assert row["cross_fitted"]["calibration_error"] < row["calibration_error"]
        assert 0 < row["cross_fitted"]["unflagged"] <= 1
    assert "cross_fitted" not in score_parts(parts[:1], parts[:1])[0]


def test_seeds_are_summed_up_by_source() -> None:
    fitted = [part("a", 0), part("b", 1)]
    rows = score_parts([part("a", 2), part("a", 3), part("b", 4)], fitted)
    found = summarise(rows)
    assert {source: row["runs"] for source, row in found.items()} == {"a": 2, "b": 1}
    scored = [row["val_balanced_accuracy"] for row in rows[:2]]
    assert found["a"]["balanced_accuracy_mean"] == pytest.approx(np.mean(scored), abs=1e-3)
    assert found["a"]["balanced_accuracy_sd"] == pytest.approx(np.std(scored, ddof=1), abs=1e-3)
    assert found["b"]["balanced_accuracy_sd"] == 0


def test_the_correction_is_kept_with_the_run(tiny_run: Path, drawn_dataset: Path, tmp_path: Path) -> None:
    found = cross_fit(tiny_run, [(tiny_run, "Val")], tmp_path / "out", drawn_dataset)
    assert (tmp_path / "out" / "model.keras").read_bytes() == (tiny_run / "model.keras").read_bytes()
    assert json.loads((tmp_path / "out" / "training.json").read_text())["left_out"] == found
    assert set(found) == {"temperature", "cell_size", "sources", "summary"}


def test_a_source_that_was_trained_on_is_refused(tiny_run: Path, drawn_dataset: Path) -> None:
    with pytest.raises(InvalidParameter, match="was trained on Train"):
        score_left_out(tiny_run, "Train", drawn_dataset, ImageCache(None))
