"""Out-of-distribution detection and selective prediction, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.rejection import measure_coverage, measure_detection, risk_coverage


def test_detection_by_hand() -> None:
    known, unknown = np.array([0.1, 0.2, 0.3, 0.9]), np.array([0.25, 0.8, 1.0, 1.1])
    found = measure_detection("distance", known, unknown)
    # pairs in order: 0.25 beats two of the known, 0.8 three, 1.0 and 1.1 all four
    assert found.auroc == pytest.approx((2 + 3 + 4 + 4) / 16)
    # 95% of four are all four, down to 0.25: 0.3 and 0.9 are flagged with them
    assert found.fpr95 == pytest.approx(2 / 4)


def test_a_constant_score_is_at_chance() -> None:
    same = np.full(40, 0.5)
    found = measure_detection("confidence", same, same)
    assert (found.auroc, found.fpr95) == (0.5, 1.0)


def test_a_reversed_score_fails() -> None:
    found = measure_detection("distance", np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert (found.auroc, found.fpr95) == (0.0, 1.0)


def test_risk_and_coverage_by_hand() -> None:
    confidence = np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    correct = np.array([True, True, False, True, False])
    covered, risk = risk_coverage(confidence, correct)
    assert covered.tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4, 2 / 5])
    found = measure_coverage(confidence, correct)
    assert found.coverage == pytest.approx(0.4)
    assert found.area == pytest.approx(0.2 * (0 + 0 + 1 / 3 + 1 / 4 + 2 / 5))
    assert measure_coverage(confidence, correct, 0.25).coverage == pytest.approx(0.8)


def test_equal_confidences_form_one_point() -> None:
    covered, risk = risk_coverage(np.array([0.9, 0.9, 0.5]), np.array([True, False, True]))
    assert covered.tolist() == pytest.approx([2 / 3, 1.0])
    assert risk.tolist() == pytest.approx([1 / 2, 1 / 3])


def test_coverage_is_zero_if_the_most_confident_is_wrong() -> None:
    assert measure_coverage(np.array([0.9, 0.8]), np.array([False, True])).coverage == 0.0
