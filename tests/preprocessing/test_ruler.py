"""Red cells as a ruler."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wbc.preprocessing.foreground import find_foreground
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor
from wbc.preprocessing.ruler import red_cell_diameter


def field(red: int, scale: float = 1.0) -> np.ndarray:
    """A purple cell 100 pixels wide among red cells of a diameter, on glass."""
    rgb = np.full((300, 300, 3), 238, np.uint8)
    for x in range(30, 300, 80):
        for y in range(30, 300, 80):
            cv2.circle(rgb, (x, y), red // 2, (225, 170, 165), -1, cv2.LINE_AA)
    cv2.circle(rgb, (150, 150), 60, (238, 238, 238), -1)
    cv2.circle(rgb, (150, 150), 50, (190, 170, 215), -1, cv2.LINE_AA)
    cv2.circle(rgb, (150, 150), 34, (90, 50, 140), -1, cv2.LINE_AA)
    return cv2.resize(rgb, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("red", [44, 56, 66])
@pytest.mark.parametrize("scale", [0.6, 1.0, 2.0])
def test_red_cells_are_measured_at_any_scale(red: int, scale: float) -> None:
    rgb = field(red, scale)
    assert red_cell_diameter(rgb, find_foreground(rgb)) == pytest.approx(red * scale, rel=0.1)


def test_no_ruler_without_red_cells_or_without_a_leukocyte() -> None:
    rgb = field(0)
    bare = np.full((200, 200, 3), 238, np.uint8)
    assert red_cell_diameter(rgb, find_foreground(rgb)) == 0
    assert red_cell_diameter(bare, find_foreground(bare)) == 0
    assert np.isnan(Preprocessor(Preprocessing(), ruler=True)(rgb).diameter_in_red_cells)


def test_the_cell_is_measured_in_red_cells_on_request() -> None:
    spec = Preprocessing(white_balance=True)
    assert Preprocessor(spec, ruler=True)(field(56)).diameter_in_red_cells == pytest.approx(100 / 56, rel=0.15)
    assert np.isnan(Preprocessor(spec)(field(56)).diameter_in_red_cells)
