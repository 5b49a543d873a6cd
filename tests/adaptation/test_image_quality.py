"""Each quality measure reacts to its own degradation and only to that."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.drawn import drawn_cell
from wbc.adaptation.image_quality import image_quality

CELL = drawn_cell("Neutrophil", np.random.default_rng(0))


def test_blur_lowers_sharpness_step_by_step() -> None:
    values = [image_quality(cv2.GaussianBlur(CELL, (0, 0), sigma)).sharpness for sigma in (0.5, 1, 2, 4, 8)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 5


def test_darkness_lowers_brightness_and_leaves_sharpness() -> None:
    dark = image_quality(np.rint(CELL * 0.4).astype(np.uint8))
    assert dark.brightness == pytest.approx(0.4 * image_quality(CELL).brightness, abs=0.01)
    assert dark.sharpness == pytest.approx(image_quality(CELL).sharpness, rel=0.1)


def test_fading_to_white_lowers_contrast() -> None:
    faded = image_quality(np.rint(255 - (255 - CELL.astype(float)) * 0.3).astype(np.uint8))
    assert faded.contrast == pytest.approx(0.3 * image_quality(CELL).contrast, abs=0.02)
    assert faded.brightness > image_quality(CELL).brightness


@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_has_neither_detail_nor_contrast(level: int) -> None:
    found = image_quality(np.full((64, 64, 3), level, np.uint8))
    assert (found.sharpness, found.contrast) == (0.0, 0.0)
    assert found.brightness == pytest.approx(level / 255)


def test_noise_is_as_sharp_as_can_be() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), dtype=np.uint8)
    # In the continuum the Laplacian of Gaussian noise has 8 / (4 sigma^4) of its variance, sqrt(2); the grid's is less.
    assert 0.9 < image_quality(np.repeat(noise[..., None], 3, axis=2)).sharpness < np.sqrt(2)
