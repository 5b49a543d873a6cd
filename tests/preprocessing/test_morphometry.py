"""Lobes, solidity and shape of drawn masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.morphometry import compute_solidity, count_lobes, measure_shape


def discs(*circles: tuple[int, int, int], strand: int = 0, size: int = 128) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    for x, y, radius in circles:
        cv2.circle(mask, (x, y), radius, 1, -1)
    if strand:
        points = np.array([(x, y) for x, y, _ in circles], np.int32)
        cv2.polylines(mask, [points], False, 1, strand)
    return mask.astype(bool)


@pytest.mark.parametrize(
    ("mask", "lobes"),
    [
        (discs((64, 64, 30)), 1),
        (discs((45, 64, 20), (85, 64, 20), strand=5), 2),
        (discs((40, 64, 22), (80, 64, 10), strand=4), 2),
        (discs((30, 64, 15), (64, 40, 15), (98, 64, 15), strand=4), 3),
        (discs((30, 64, 14), (64, 64, 14), (98, 64, 14)), 3),
        (discs(), 0),
    ],
)
def test_lobes_are_counted_where_the_nucleus_is_narrow(mask: np.ndarray, lobes: int) -> None:
    assert count_lobes(mask) == lobes
    assert count_lobes(cv2.resize(mask.astype(np.uint8), (360, 360), interpolation=cv2.INTER_NEAREST) > 0) == lobes


def test_a_bean_is_one_lobe_and_a_disc_at_the_border_too() -> None:
    bean = discs((64, 64, 34)) & ~discs((64, 24, 16))
    assert count_lobes(bean) == 1
    assert count_lobes(discs((4, 64, 30))) == 1


def test_solidity_tells_a_disc_from_a_dumbbell() -> None:
    assert compute_solidity(discs((64, 64, 30))) > 0.95
    assert compute_solidity(discs((40, 64, 20), (90, 64, 20), strand=3)) < 0.9
    assert compute_solidity(discs()) == 0.0


def test_shape_of_a_cell_with_known_measures() -> None:
    found = Foreground(nucleus=discs((64, 64, 20)), cell=discs((64, 64, 40)), valid=True, candidates=1)
    shape = measure_shape(found)
    assert shape is not None
    assert shape.nucleus_share == pytest.approx(0.25, abs=0.01)
    assert shape.cell_diameter == pytest.approx(80 / 128, abs=0.01)
    assert shape.nucleus_diameter == pytest.approx(40 / 128, abs=0.01)
    assert (shape.lobes, shape.touches_border) == (1, False)


def test_an_invalid_mask_has_no_shape() -> None:
    empty = np.zeros((64, 64), bool)
    assert measure_shape(Foreground(empty, empty, valid=False, reason="no nucleus found")) is None
