"""Differential counts: exact intervals, reference ranges, cells for review."""

from __future__ import annotations

import pytest

from wbc.differential import clopper_pearson, differential
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES, MORPHOLOGY


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Rümke's table as CLSI H20-A2 prints it, percent
    [(5, 100, 1.6, 11.3), (10, 200, 2.4, 9.0), (50, 100, 39.8, 60.2), (0, 100, 0.0, 3.6)],
)
def test_golden_intervals(successes: int, trials: int, low: float, high: float) -> None:
    found = clopper_pearson(successes, trials)
    assert [round(100 * limit, 1) for limit in found] == [low, high]


@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (1, 3), (17, 40), (4321, 10_000), (99_999, 100_000)])
def test_intervals_are_quantiles_of_the_beta_distribution(successes: int, trials: int) -> None:
    beta = pytest.importorskip("scipy.stats").beta
    low, high = clopper_pearson(successes, trials)
    expected_low = beta.ppf(0.025, successes, trials - successes + 1) if successes else 0.0
    expected_high = beta.ppf(0.975, successes + 1, trials - successes) if successes < trials else 1.0
    assert (low, high) == (pytest.approx(expected_low, abs=1e-10), pytest.approx(expected_high, abs=1e-10))


def test_intervals_mirror_each_other_and_narrow_with_more_cells() -> None:
    low, high = clopper_pearson(7, 50)
    assert (1 - high, 1 - low) == pytest.approx(clopper_pearson(43, 50))
    wider = clopper_pearson(7, 50, 0.99)
    assert wider[0] < low < 14 / 100 < high < wider[1]
    more = clopper_pearson(70, 500)
    assert more[1] - more[0] < high - low


def test_nothing_is_known_without_a_cell() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    empty = differential({})
    assert (empty.counted, empty.complete) == (0, True)
    assert all((share.percent, share.low, share.high) == (0.0, 0.0, 100.0) for share in empty.shares)


@pytest.mark.parametrize(("successes", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.0), (1, 5, 1.0)])
def test_numbers_out_of_range_are_refused(successes: int, trials: int, confidence: float) -> None:
    with pytest.raises(InvalidParameter, match="are accepted"):
        clopper_pearson(successes, trials, confidence)


def test_a_differential_of_two_hundred_cells() -> None:
    found = differential({"Neutrophil": 160, "Lymphocyte": 30, "Monocyte": 8, "Eosinophil": 2}, for_review=3)
    assert (found.counted, found.for_review, found.complete) == (200, 3, False)
    assert [share.label for share in found.shares] == list(CLASSES)
    assert [share.percent for share in found.shares] == [0.0, 1.0, 15.0, 4.0, 80.0]
    assert [share.verdict for share in found.shares] == ["unclear", "unclear", "unclear", "unclear", "above"]
    assert all(share.reference == MORPHOLOGY[share.label].adult_share_percent for share in found.shares)


def test_a_share_is_outside_only_where_its_whole_interval_is() -> None:
    few, many = differential({"Lymphocyte": 1, "Neutrophil": 9}), differential({"Lymphocyte": 100, "Neutrophil": 900})
    assert few.shares[2].percent == many.shares[2].percent == 10.0
    assert (few.shares[2].verdict, many.shares[2].verdict) == ("unclear", "below")


def test_an_unknown_class_or_a_negative_number_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="unknown class 'Blast'"):
        differential({"Blast": 1})
    with pytest.raises(InvalidParameter, match="negative"):
        differential({"Monocyte": -1})
