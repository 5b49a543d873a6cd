"""Calibration error against values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.reliability import undo_temperature
from wbc.adaptation.calibration import bin_by_confidence, probabilities


def test_calibration_error_by_hand() -> None:
    # 15 bins: 0.95 and 0.94 fall into (14/15, 1] as the top one and 0.55 into the ninth.
    confidence = np.array([0.95, 0.95, 0.94, 0.55])
    correct = np.array([True, True, False, True])
    found = bin_by_confidence(confidence, correct)
    assert found.count.tolist() == [0] * 8 + [1] + [0] * 5 + [3]
    top = abs((0.95 + 0.95 + 0.94) / 3 - 2 / 3)
    assert found.error == pytest.approx((3 * top + 1 * abs(0.55 - 1.0)) / 4)


def test_a_bin_holds_its_upper_edge_and_certainty_has_a_bin() -> None:
    assert bin_by_confidence(np.array([0.2, 0.2000001, 1.0, 0.0]), np.ones(4, bool), 5).count.tolist() == [
        2,
        1,
        0,
        0,
        1,
    ]


def test_temperature_scaling_is_undone_row_by_row() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (6, 5))
    temperature = np.array([0.5, 0.5, 1.0, 2.0, 3.0, 1.3])
    cold = np.stack([probabilities(row, t) for row, t in zip(logits, temperature, strict=True)])
    assert undo_temperature(cold, temperature) == pytest.approx(probabilities(logits))
