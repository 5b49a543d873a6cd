"""From a 7x7 map to images: position, scale, colour and outline."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from wbc.preprocessing.foreground import Foreground
from wbc.saliency.overlay import CONTOUR, INFERNO, grey, heatmap, overlay

SIZE = 112


def found(*, valid: bool) -> Foreground:
    cell = np.zeros((SIZE, SIZE), np.bool_)
    if valid:
        cell[30:80, 30:80] = True
    return Foreground(cell, cell, valid, "" if valid else "made up")


@pytest.fixture
def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(150, 250, (SIZE, SIZE, 3), dtype=np.uint8)


class TestHeatmap:
    def test_range_shape_and_type(self) -> None:
        heat = heatmap(np.random.default_rng(0).random((7, 7)) * 40, SIZE)
        assert heat.shape == (SIZE, SIZE)
        assert heat.dtype == np.float32
        assert heat.min() >= 0
        assert heat.max() == 1

    def test_zero_stays_zero(self) -> None:
        assert (heatmap(np.zeros((7, 7)), SIZE) == 0).all()

    @pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 5), (6, 6), (3, 3)])
    def test_peak_is_where_its_place_is(self, row: int, column: int) -> None:
        cam = np.zeros((7, 7))
        cam[row, column] = 3
        heat = heatmap(cam, SIZE)
        rows, columns = np.nonzero(heat > 0.99)
        middle = SIZE / 7 * (np.array([row, column]) + 0.5) - 0.5
        assert np.abs([rows.mean(), columns.mean()] - middle).max() <= SIZE / 14
        assert heat[np.hypot(*(np.mgrid[0:SIZE, 0:SIZE] - middle[:, None, None])) > SIZE / 3].max() == 0

    def test_constant_map_is_constant(self) -> None:
        np.testing.assert_allclose(heatmap(np.full((7, 7), 0.01), SIZE), 1, rtol=1e-6)

    def test_factor_plays_no_part(self) -> None:
        cam = np.random.default_rng(1).random((7, 7))
        np.testing.assert_allclose(heatmap(cam, SIZE), heatmap(1e-3 * cam, SIZE), rtol=1e-4, atol=1e-6)


class TestOverlay:
    def test_no_map_and_no_cell_leave_the_picture(self, picture: NDArray[np.uint8]) -> None:
        out = overlay(picture, np.zeros((SIZE, SIZE), np.float32), found(valid=False))
        np.testing.assert_array_equal(out, picture)
        assert out is not picture

    def test_outline_only_where_a_cell_was_found(self, picture: NDArray[np.uint8]) -> None:
        out = overlay(picture, np.zeros((SIZE, SIZE), np.float32), found(valid=True))
        changed = (out != picture).any(axis=-1)
        assert changed[30, 31:79].all()  # the upper edge of the cell
        assert not changed[35:75, 35:75].any()
        assert not changed[:27].any()
        assert np.abs(out[30, 50].astype(int) - CONTOUR).max() < 40  # smoothed into what it covers

    def test_map_is_not_cut_to_the_cell(self, picture: NDArray[np.uint8]) -> None:
        heat = np.zeros((SIZE, SIZE), np.float32)
        heat[0:10, 0:10] = 1  # far from the cell
        out = overlay(picture, heat, found(valid=True))
        assert np.abs(out[0:10, 0:10].astype(int) - picture[0:10, 0:10]).mean() > 20

    def test_strongest_part_is_inferno_at_the_given_opacity(self) -> None:
        black = np.zeros((SIZE, SIZE, 3), np.uint8)
        out = overlay(black, np.ones((SIZE, SIZE), np.float32), found(valid=False), opacity=0.5)
        np.testing.assert_allclose(out[5, 5], INFERNO[255] * 0.5, atol=1)
        assert (
            overlay(black, np.ones((SIZE, SIZE), np.float32), found(valid=False), opacity=1.0) == INFERNO[255]
        ).all()

    def test_stronger_is_more_opaque(self, picture: NDArray[np.uint8]) -> None:
        heat = np.tile(np.linspace(0, 1, SIZE, dtype=np.float32), (SIZE, 1))
        white = np.full_like(picture, 255)
        strip = overlay(white, heat, found(valid=False)).astype(int).sum(axis=2)[0]
        assert strip[0] == 3 * 255
        assert (np.diff(strip[: SIZE // 2]) <= 2).all()  # on the dark half of the scale; two levels are rounding

    def test_picture_is_left_alone(self, picture: NDArray[np.uint8]) -> None:
        before = picture.copy()
        overlay(picture, np.ones((SIZE, SIZE), np.float32), found(valid=True))
        np.testing.assert_array_equal(picture, before)


def test_colours_are_rgb_from_black_over_red_to_pale_yellow() -> None:
    assert INFERNO.shape == (256, 3)
    assert INFERNO.dtype == np.uint8
    assert INFERNO[0].max() < 10
    red, green, blue = INFERNO[150].tolist()
    assert red > green
    assert red > blue  # with blue first it would be a blue scale
    assert INFERNO[255].min() > 150
    brightness = INFERNO.astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) > -1).all()


def test_grey_is_the_map_in_256_steps() -> None:
    np.testing.assert_array_equal(grey(np.array([[0, 0.5, 1]], np.float32)), [[0, 128, 255]])
