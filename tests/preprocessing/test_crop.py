"""The window around one cell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.drawn import draw
from wbc.preprocessing.background import WHITE
from wbc.preprocessing.crop import window
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor


@pytest.mark.parametrize("side", [20.0, 60.0, 200.0])
def test_pixels_of_the_picture_come_where_the_map_says(side: float) -> None:
    rgb = np.full((120, 160, 3), 200, np.uint8)
    rgb[50:53, 70:73] = 0
    cut, to_window = window(rgb, (71.0, 51.0), side, 64, outside=WHITE)
    x, y = to_window @ (71.0, 51.0, 1.0)
    assert (x, y) == pytest.approx((31.5, 31.5))
    dark = np.argwhere(cut[..., 0] < cut[..., 0].min() + 20).mean(axis=0)
    assert dark == pytest.approx([31.5, 31.5], abs=1.5)


def test_nothing_is_mirrored_outside_the_picture() -> None:
    cut, _ = window(np.zeros((50, 50, 3), np.uint8), (0.0, 25.0), 40, 32, outside=WHITE)
    assert (cut[:, :14] == WHITE).all()
    assert (cut[12:20, 18:] == 0).all()


def test_cell_takes_a_set_share_of_the_window() -> None:
    spec = Preprocessing(size=128, white_balance=True, framing=Framing(diameters=1.5))
    for scale in (0.7, 1.0, 1.6):
        prepared = Preprocessor(spec)(draw("Lymphocyte", np.random.default_rng(2), scale=scale).rgb)
        assert prepared.model_input.shape == (128, 128, 3)
        assert prepared.foreground.cell_diameter / len(prepared.display) == pytest.approx(1 / 1.5, rel=0.03)


def test_picture_without_a_cell_is_seen_whole() -> None:
    blank = np.full((100, 200, 3), 230, np.uint8)
    prepared = Preprocessor(Preprocessing(size=64))(blank)
    assert prepared.cell_diameter == 0
    assert not prepared.foreground.valid


def test_at_input_size_everything_is_in_the_networks_pixels() -> None:
    preprocessor = Preprocessor(Preprocessing(size=128, white_balance=True))
    rgb = draw("Eosinophil", np.random.default_rng(5)).rgb
    small, served = preprocessor.at_input_size(rgb), preprocessor(rgb)
    assert small.display.shape[:2] == small.foreground.cell.shape == (128, 128)
    assert served.display.shape[:2] == served.foreground.cell.shape == (224, 224)
    np.testing.assert_array_equal(small.model_input, served.model_input)
    np.testing.assert_array_equal(preprocessor.normalise(small.display), small.model_input)
