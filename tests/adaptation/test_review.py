"""Reasons for a review, and the fitting of their thresholds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wbc.adaptation.image_quality import ImageQuality
from wbc.adaptation.review import (
    Measures,
    ReviewThresholds,
    fit_least_quality,
    fit_max_cells,
    fit_max_distance,
    fit_min_confidence,
    reasons,
)

LIMITS = ReviewThresholds(
    min_confidence=0.9, max_distance=2.0, min_sharpness=0.1, min_brightness=0.4, min_contrast=0.2, max_cells=1
)
FINE = Measures(0.99, ImageQuality(0.3, 0.9, 0.6), cells=1, distance=1.0, focus_lift=0.5)


def test_nothing_speaks_against_a_good_answer() -> None:
    assert reasons(FINE, LIMITS) == ()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"confidence": 0.8999}, "low_confidence", "90.0% is below 90.0%"),
        ({"distance": 2.01}, "unlike_training", "its distance from them is 2.01"),
        ({"quality": ImageQuality(0.05, 0.9, 0.6)}, "poor_image", "sharpness is 0.050, at least 0.100"),
        ({"quality": ImageQuality(0.3, 0.3, 0.6)}, "poor_image", "brightness is 0.300"),
        ({"quality": ImageQuality(0.3, 0.9, 0.1)}, "poor_image", "contrast is 0.100"),
        ({"cells": 2}, "poor_image", "2 cells are in the frame"),
        ({"no_cell": "nothing is dark", "cells": 0}, "poor_image", "No cell could be outlined: nothing is dark"),
        ({"focus_lift": -0.1}, "attention_off_cell", "-0.10"),
    ],
)
def test_each_reason_alone(change: dict[str, object], code: str, words: str) -> None:
    [reason] = reasons(replace(FINE, **change), LIMITS)  # type: ignore[arg-type]
    assert reason.code == code
    assert words in reason.text
    assert reason.text.endswith(".")


def test_several_reasons_come_together_and_faults_of_the_picture_as_one() -> None:
    bad = Measures(0.2, ImageQuality(0.0, 0.1, 0.0), cells=0, no_cell="nothing is dark", distance=9.0)
    found = reasons(bad, LIMITS)
    assert [reason.code for reason in found] == ["low_confidence", "unlike_training", "poor_image"]
    assert found[2].text.count(";") == 3


def test_a_limit_that_was_not_fitted_flags_nothing() -> None:
    bad = Measures(0.95, ImageQuality(0.0, 0.0, 0.0), cells=9, distance=99.0)
    assert reasons(bad, ReviewThresholds(min_confidence=0.9)) == ()
    assert reasons(replace(FINE, distance=None), LIMITS) == ()


def test_least_confidence_accepts_the_error_that_it_is_told() -> None:
    confidence, correct = np.linspace(0.99, 0.61, 39), np.arange(39) != 20
    threshold = fit_min_confidence(confidence, correct, accepted_error=0.04)
    kept = confidence >= threshold
    assert (~correct[kept]).mean() <= 0.04
    assert fit_min_confidence(confidence, correct, accepted_error=0.0) == pytest.approx(confidence[19], abs=1e-4)
    assert fit_min_confidence(confidence, np.zeros(39, bool), 0.03) == 1.0


def test_largest_distance_parts_known_from_unknown() -> None:
    rng = np.random.default_rng(0)
    known, unknown = rng.normal(1.0, 0.1, 1000), rng.normal(2.0, 0.1, 200)
    threshold = fit_max_distance(known, unknown)
    assert (known > threshold).mean() < 0.005
    assert (unknown > threshold).mean() > 0.99


def test_largest_distance_flags_few_known_ones_however_near_the_unknown_are() -> None:
    known = np.linspace(0, 1, 1000)
    for unknown in (np.linspace(0, 1, 100), np.zeros(0)):
        assert (known > fit_max_distance(known, unknown, 0.02)).mean() <= 0.02


def test_most_cells_is_what_nearly_all_images_have() -> None:
    assert fit_max_cells(np.array([1] * 99 + [2])) == 1
    assert fit_max_cells(np.array([1] * 90 + [2] * 9 + [3])) == 2


def test_least_quality_is_where_answers_begin_to_fail() -> None:
    usual = np.linspace(0.4, 1.0, 1000)
    steps = [(0.5, 0.98), (0.3, 0.95), (0.2, 0.80), (0.1, 0.4)]
    assert fit_least_quality(usual, steps, accuracy=0.98) == 0.2
    assert fit_least_quality(usual, [(0.3, 0.98), (0.1, 0.97)], accuracy=0.98) == 0.1
    # a limit that usual images would not pass is lowered
    low = fit_least_quality(usual, [(0.9, 0.1)], accuracy=0.98)
    assert (usual < low).mean() <= 0.005
