"""Selection of evenly spaced items."""

from __future__ import annotations

import pytest

from wbc.data.sampling import evenly_spaced


@pytest.mark.parametrize(
    ("length", "count", "positions"),
    [(10, 4, [0, 3, 6, 9]), (3, 5, [0, 1, 2]), (7, 1, [0]), (0, 2, []), (4, 0, [])],
)
def test_positions_are_evenly_spaced(length, count, positions):
    assert evenly_spaced(length, count).tolist() == positions
