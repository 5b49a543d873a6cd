"""White balance against the slide's own background."""

from __future__ import annotations

import numpy as np
import pytest

from tests.drawn import drawn_cell
from wbc.preprocessing.background import WHITE, background, white_balance


def cell() -> np.ndarray:
    return drawn_cell("Monocyte", np.random.default_rng(1))


def glass(rgb: np.ndarray) -> np.ndarray:
    return np.percentile(rgb.reshape(-1, 3), 85, axis=0)


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.0, 0.6, 0.5), (0.4, 0.4, 0.5)])
def test_glass_becomes_white_under_any_light(light: tuple[float, float, float]) -> None:
    balanced = white_balance((cell() * light).astype(np.uint8))
    np.testing.assert_allclose(glass(balanced), WHITE, atol=4)


def test_vignetting_goes() -> None:
    rows, columns = np.mgrid[-1:1:224j, -1:1:224j]
    shade = np.exp(-0.1 * (rows**2 + columns**2) - 0.1 * columns)[..., None]
    bare = np.full((224, 224, 3), (230, 225, 210.0)) * shade
    shaded = white_balance(np.clip(bare, 0, 255).astype(np.uint8))
    assert shaded.reshape(-1, 3).std(axis=0).max() < 6
    assert glass(white_balance((cell() * shade).astype(np.uint8))) == pytest.approx([WHITE] * 3, abs=6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (40, 8), (900, 1440)])
@pytest.mark.parametrize("level", [0, 255])
def test_any_size_and_flat_pictures(shape: tuple[int, int], level: int) -> None:
    rgb = np.full((*shape, 3), level, np.uint8)
    assert white_balance(rgb).shape == rgb.shape
    assert np.isfinite(background(rgb)).all()
