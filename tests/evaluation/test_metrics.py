"""Scores against values computed by hand, with absent classes and single-class sets."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.intervals import bootstrap, wilson
from evaluation.metrics import balanced_accuracy, macro_f1, measure
from wbc.labels import CLASSES

LABELS = np.array([0, 0, 2, 2, 2, 3, 4, 4, 4, 4])
PREDICTED = np.array([0, 4, 2, 2, 3, 3, 4, 4, 1, 4])
"""Eosinophil (1) is absent and predicted once."""


def certain(predicted: np.ndarray, confidence: float = 0.8) -> np.ndarray:
    """Return probabilities with these predicted classes and one confidence."""
    rows = np.full((len(predicted), len(CLASSES)), (1 - confidence) / 4)
    rows[np.arange(len(predicted)), predicted] = confidence
    return rows


def test_scores_of_a_constructed_set() -> None:
    found = measure(LABELS, certain(PREDICTED))
    assert found.images == 10
    assert found.accuracy.value == pytest.approx(0.7)
    assert found.present.classes == ("Basophil", "Lymphocyte", "Monocyte", "Neutrophil")
    assert found.present.balanced_accuracy.value == pytest.approx((1 / 2 + 2 / 3 + 1 + 3 / 4) / 4)
    assert found.present.macro_f1.value == pytest.approx((2 / 3 + 4 / 5 + 2 / 3 + 3 / 4) / 4)
    assert found.ten_or_more is None
    # agreement by chance: (2*1 + 0*1 + 3*2 + 1*2 + 4*4) / 100
    assert found.kappa == pytest.approx((0.7 - 0.26) / (1 - 0.26))
    assert (found.majority_class, found.majority_baseline) == ("Neutrophil", 0.4)
    assert found.confusion == ((1, 0, 0, 0, 1), (0, 0, 0, 0, 0), (0, 0, 2, 1, 0), (0, 0, 0, 1, 0), (0, 1, 0, 0, 3))


@pytest.mark.parametrize(
    ("name", "counts", "scores"),
    [
        ("Basophil", (2, 1), (1.0, 1 / 2, 2 / 3)),
        ("Eosinophil", (0, 1), (0.0, None, None)),
        ("Lymphocyte", (3, 2), (1.0, 2 / 3, 4 / 5)),
        ("Monocyte", (1, 2), (1 / 2, 1.0, 2 / 3)),
        ("Neutrophil", (4, 4), (3 / 4, 3 / 4, 3 / 4)),
    ],
)
def test_scores_of_each_class(name: str, counts: tuple[int, int], scores: tuple[float | None, ...]) -> None:
    found = measure(LABELS, certain(PREDICTED)).per_class[name]
    assert (found.support, found.answered) == counts
    for value, expected in zip((found.precision, found.recall, found.f1), scores, strict=True):
        assert value is expected is None or value == pytest.approx(expected)


def test_a_class_never_predicted_has_no_precision_and_counts_with_zero() -> None:
    found = measure(np.array([0, 0, 4, 4]), certain(np.array([4, 4, 4, 4])))
    assert found.per_class["Basophil"].precision is None
    assert found.per_class["Basophil"].recall == 0.0
    assert found.present.macro_f1.value == pytest.approx((0 + 2 / 3) / 2)
    assert found.kappa == pytest.approx(0.0)


@pytest.mark.parametrize(("predicted", "accuracy", "kappa"), [([4, 4, 4, 4], 1.0, None), ([4, 4, 4, 2], 0.75, 0.0)])
def test_a_set_of_one_class(predicted: list[int], accuracy: float, kappa: float | None) -> None:
    found = measure(np.array([4, 4, 4, 4]), certain(np.array(predicted)))
    assert found.accuracy.value == found.present.balanced_accuracy.value == accuracy
    assert found.kappa == kappa
    assert found.majority_baseline == 1.0
    assert all(scores.auc is None for scores in found.per_class.values())


def test_area_under_the_curve_by_hand() -> None:
    probabilities = np.full((4, 5), 0.0)
    probabilities[:, 4] = [0.9, 0.4, 0.6, 0.1]
    probabilities[:, 2] = 1 - probabilities[:, 4]
    found = measure(np.array([4, 4, 2, 2]), probabilities)
    # of the four pairs of a neutrophil and a lymphocyte three are in order: 0.4 is below 0.6
    assert found.per_class["Neutrophil"].auc == pytest.approx(3 / 4)
    assert found.per_class["Lymphocyte"].auc == pytest.approx(3 / 4)
    assert found.per_class["Monocyte"].auc is None


def test_brier_score_by_hand() -> None:
    rows = np.array([[0.7, 0.3, 0.0, 0.0, 0.0], [0.2, 0.2, 0.6, 0.0, 0.0]])
    expected = ((0.09 + 0.09) + (0.04 + 0.64 + 0.36)) / 2
    assert measure(np.array([0, 1]), rows).brier == pytest.approx(expected)
    assert measure(np.array([0]), np.eye(5)[[1]]).brier == 2.0


def test_classes_of_ten_or_more_leave_small_ones_out() -> None:
    labels = np.array([4] * 10 + [2] * 10 + [0])
    predicted = np.array([4] * 10 + [2] * 8 + [4] * 2 + [4])
    found = measure(labels, certain(predicted))
    assert found.ten_or_more is not None
    assert found.ten_or_more.classes == ("Lymphocyte", "Neutrophil")
    assert found.ten_or_more.balanced_accuracy.value == pytest.approx((0.8 + 1.0) / 2)
    # the basophil predicted as a neutrophil still costs precision: F1 of neutrophil is 20 / (10 + 13)
    assert found.ten_or_more.macro_f1.value == pytest.approx((16 / 18 + 20 / 23) / 2)
    assert found.present.balanced_accuracy.value == pytest.approx((0.8 + 1.0 + 0.0) / 3)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe 1998, doi 10.1002/(SICI)1097-0258(19980430)17:8<857: his Table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_interval_agrees_with_newcombe(successes: int, trials: int, low: float, high: float) -> None:
    found = wilson(successes, trials)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_wilson_interval_is_not_empty_at_the_ends() -> None:
    assert (wilson(5, 5).high, wilson(0, 5).low) == (1.0, 0.0)
    assert wilson(5, 5).low < 0.7


def test_bootstrap_interval_of_recalls_has_the_spread_of_the_binomial() -> None:
    # Balanced accuracy of two classes of 400 at 90% and 70%: sd = sqrt(.09/400 + .21/400) / 2.
    confusion = np.zeros((5, 5), np.int64)
    confusion[0, 0], confusion[0, 1], confusion[1, 1], confusion[1, 0] = 360, 40, 280, 120
    chosen = np.array([True, True, False, False, False])
    found = bootstrap(confusion, lambda m: balanced_accuracy(m, chosen), np.random.default_rng(0))
    half = 1.96 * np.sqrt(0.09 / 400 + 0.21 / 400) / 2
    assert found.value == pytest.approx(0.8)
    assert found.low == pytest.approx(0.8 - half, abs=0.002)
    assert found.high == pytest.approx(0.8 + half, abs=0.002)


def test_bootstrap_is_the_same_for_the_same_seed_and_covers_the_value() -> None:
    first, again = measure(LABELS, certain(PREDICTED), seed=1), measure(LABELS, certain(PREDICTED), seed=1)
    assert first == again
    for estimate in (first.present.balanced_accuracy, first.present.macro_f1):
        assert estimate.low < estimate.value < estimate.high


def test_macro_f1_of_resamples_is_that_of_the_matrix() -> None:
    confusion = np.array(measure(LABELS, certain(PREDICTED)).confusion)[None]
    assert macro_f1(confusion, confusion[0].sum(axis=1) > 0)[0] == pytest.approx(0.7208333333)


def test_swapped_predictions_score_lower() -> None:
    """Every score falls when the predictions are moved to another class."""
    right, wrong = measure(LABELS, certain(LABELS)), measure(LABELS, certain((LABELS + 1) % 5))
    assert right.accuracy.value == right.present.balanced_accuracy.value == right.present.macro_f1.value == 1.0
    assert right.kappa == 1.0
    assert wrong.accuracy.value == wrong.present.balanced_accuracy.value == wrong.present.macro_f1.value == 0.0
    assert wrong.kappa is not None
    assert wrong.kappa < 0
    assert wrong.ece > 0.7 > right.ece
    assert wrong.brier > 1.0 > right.brier
    assert wrong.log_loss > right.log_loss
