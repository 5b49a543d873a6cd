"""Size of the cell as evidence."""

from __future__ import annotations

import numpy as np

from wbc.adaptation.cell_size import CellSize

SIZE = CellSize(slope=3.0, offset=0.1)


def test_a_large_cell_is_rather_a_monocyte_and_nothing_else_moves() -> None:
    large, small, unknown = SIZE.shift(np.array([2.2, 1.5, np.nan]))
    assert large[3] == -large[2] > 0.5
    assert small[3] == -small[2] < 0
    assert not large[[0, 1, 4]].any()
    assert not unknown.any()


def test_a_measurement_in_doubt_counts_as_much_as_a_large_one() -> None:
    np.testing.assert_array_equal(SIZE.shift(9.0), SIZE.shift(4.0))
