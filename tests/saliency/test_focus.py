"""The focus of a map: three numbers whose value is known for maps and masks that are made up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wbc.preprocessing.foreground import Foreground
from wbc.saliency.focus import Focus, focus

SIZE = 40


def found(cell: NDArray[np.bool_], *, valid: bool = True) -> Foreground:
    return Foreground(cell, cell, valid, "" if valid else "made up")


@pytest.fixture
def cell() -> NDArray[np.bool_]:
    """A quarter of the frame."""
    mask = np.zeros((SIZE, SIZE), np.bool_)
    mask[10:30, 10:30] = True
    return mask


def test_even_map_scores_the_coverage_and_no_lift(cell: NDArray[np.bool_]) -> None:
    measured = focus(np.full((SIZE, SIZE), 0.3, np.float32), found(cell))
    assert measured.ratio == pytest.approx(0.25)
    assert measured.coverage == pytest.approx(0.25)
    assert measured.lift == pytest.approx(0.0, abs=1e-6)
    assert measured.valid


def test_map_wholly_on_the_cell(cell: NDArray[np.bool_]) -> None:
    measured = focus(cell.astype(np.float32), found(cell))
    assert (measured.ratio, measured.lift) == (pytest.approx(1.0), pytest.approx(1.0))


def test_map_wholly_off_the_cell(cell: NDArray[np.bool_]) -> None:
    measured = focus((~cell).astype(np.float32), found(cell))
    assert measured.ratio == pytest.approx(0.0)
    assert measured.lift == pytest.approx(-1 / 3)  # -c / (1 - c)


def test_half_on_half_off(cell: NDArray[np.bool_]) -> None:
    heat = np.where(cell, 3.0, 1.0)  # a quarter of the area with three times the weight
    measured = focus(heat, found(cell))
    assert measured.ratio == pytest.approx(0.5)
    assert measured.lift == pytest.approx((0.5 - 0.25) / 0.75)


def test_scale_of_the_map_plays_no_part(cell: NDArray[np.bool_]) -> None:
    heat = np.random.default_rng(0).random((SIZE, SIZE))
    first, second = focus(heat, found(cell)), focus(1000 * heat, found(cell))
    assert first.ratio == pytest.approx(second.ratio)


def test_map_is_not_cut_to_the_cell(cell: NDArray[np.bool_]) -> None:
    """Energy off the cell lowers the ratio."""
    heat = cell.astype(np.float32)
    stray = heat.copy()
    stray[0:5, 0:5] = 1.0
    with_stray, without = focus(stray, found(cell)), focus(heat, found(cell))
    assert with_stray.ratio is not None
    assert without.ratio is not None
    assert with_stray.ratio < without.ratio


@pytest.mark.parametrize(
    ("heat", "mask", "valid"),
    [
        pytest.param(0.0, 0.25, True, id="map of zeros"),
        pytest.param(0.5, 0.25, False, id="invalid mask"),
        pytest.param(0.5, 0.0, True, id="empty mask"),
        pytest.param(0.5, 1.0, True, id="mask of all ones"),
    ],
)
def test_nothing_is_measured_where_it_would_mean_nothing(heat: float, mask: float, valid: bool) -> None:
    cell = np.zeros((SIZE, SIZE), np.bool_)
    cell[: int(SIZE * mask)] = True
    measured = focus(np.full((SIZE, SIZE), heat, np.float32), found(cell, valid=valid))
    assert measured == Focus(None, None, None)
    assert not measured.valid
