"""Random versions of a window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.augment import Recipe, draw_version
from training.window_augment import MARGIN, augment_window, stain, turn
from wbc.data.cache import ImageCache
from wbc.data.dataset import read_split
from wbc.images import decode
from wbc.preprocessing.background import WHITE
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor


@pytest.fixture
def wide() -> np.ndarray:
    rgb = np.full((96, 96, 3), WHITE, np.uint8)
    rgb[30:66, 30:66] = (120, 80, 150)
    return rgb


def test_same_state_gives_the_same_window(wide: np.ndarray) -> None:
    first, again = (augment_window(wide, np.random.default_rng(3), 64) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (64, 64, 3)
    assert (augment_window(wide, np.random.default_rng(4), 64) != first).any()


def test_geometry_keeps_colours_and_the_cell_in_the_middle(wide: np.ndarray) -> None:
    for seed in range(20):
        out = turn(wide, np.random.default_rng(seed), 64)
        assert tuple(out[32, 32]) == (120, 80, 150)
        # 36 of 96 pixels, MARGIN windows wide, are 36 of 64 in the window; the zoom is 0.72 to 1.3
        side = np.sqrt((out[..., 1] < 160).sum())
        assert 0.7 * 36 < side * len(wide) / (64 * MARGIN) < 1.35 * 36


def test_what_lies_outside_is_white() -> None:
    out = turn(np.zeros((96, 96, 3), np.uint8), np.random.default_rng(0), 96 * 2)
    assert set(np.unique(out[[0, 0, -1, -1], [0, -1, 0, -1]])) <= {0, WHITE}


def test_stain_leaves_white_nearly_white(wide: np.ndarray) -> None:
    levels = [stain(wide, np.random.default_rng(seed))[0, 0].mean() for seed in range(40)]
    assert abs(np.mean(levels) - WHITE) < 8


def test_no_degradation_without_its_ramp(wide: np.ndarray) -> None:
    flat = np.full_like(wide, 200)
    for seed in range(10):
        out = augment_window(flat, np.random.default_rng(seed), 64, camera_factor=0.0)[16:48, 16:48]
        assert (out == out[0, 0]).all()


@pytest.mark.parametrize("mode", ["window", "cell", "off"])
def test_training_frames_as_serving_does(drawn_dataset: Path, mode: str) -> None:
    """Without randomness, training uses nearly the same window as serving."""
    preprocessor = Preprocessor(Preprocessing(size=64, white_balance=True, framing=Framing(mode=mode)))
    file = read_split(drawn_dataset, "Train").paths[0]
    served = preprocessor(decode(file.read_bytes())).model_input.astype(int)
    recipe = Recipe("robust", density_prob=0.0, degradations=0.0)
    versions = [
        draw_version(
            file,
            0,
            np.random.default_rng(seed),
            recipe=recipe,
            preprocessor=preprocessor,
            cache=ImageCache(None),
            size=64,
        )[1]
        for seed in range(12)
    ]
    # Turned and zoomed (up to twice without a window), but of one framing: the share of dark pixels, the nucleus, is
    # within a factor of two; a window on a picture that is served whole would give more than four times as many.
    dark = [np.mean(version.sum(axis=2) < 400) for version in versions]
    assert np.median(dark) == pytest.approx(np.mean(served.sum(axis=2) < 400), rel=1.0)


def test_published_steps_are_honoured_on_the_window(drawn_dataset: Path) -> None:
    preprocessor = Preprocessor(Preprocessing(size=64, white_balance=True))
    file = read_split(drawn_dataset, "Train").paths[0]
    plain, stained = (
        draw_version(
            file,
            0,
            np.random.default_rng(0),
            recipe=Recipe("robust", stain_prob=probability, density_prob=0.0, degradations=0.0),
            preprocessor=preprocessor,
            cache=ImageCache(None),
            size=64,
        )[1]
        for probability in (0.0, 1.0)
    )
    assert np.abs(plain.astype(int) - stained).mean() > 1
