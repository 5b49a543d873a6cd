"""Reinhard and Macenko normalisation, and the accepted RGB images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from wbc.errors import InvalidParameter
from wbc.preprocessing import stain
from wbc.preprocessing.stain import (
    UNCALIBRATED,
    MacenkoReference,
    ReinhardReference,
    as_rgb_uint8,
    macenko,
    reinhard,
    reinhard_distance,
)
from wbc.settings import settings

Image = NDArray[np.uint8]
Normaliser = Callable[[NDArray[Any]], Image]

MILD = ReinhardReference(mean=(60.0, 10.0, -5.0), std=(8.0, 4.0, 4.0))
STAINS = np.asarray([[0.70, 0.68, 0.22], [0.30, 0.93, 0.21]])
STAINS /= np.linalg.norm(STAINS, axis=1, keepdims=True)

NORMALISERS: dict[str, Normaliser] = {
    "reinhard": lambda image: reinhard(image, MILD),
    "macenko": lambda image: macenko(image, UNCALIBRATED),
}


def to_lab(image: Image) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor(image.astype(np.float32) / np.float32(255), cv2.COLOR_RGB2LAB), np.float32)


def soft_image(seed: int = 1, height: int = 64, width: int = 96) -> Image:
    """Mid-grey colours far from both ends, so that a normalisation clips nothing."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal((150.0, 120.0, 140.0), (18.0, 15.0, 12.0), (height, width, 3)), 60, 200).astype(np.uint8)


def stained_image(stains: NDArray[np.float64] = STAINS, seed: int = 2, size: int = 96) -> Image:
    """Draw pixels of two stains in random concentrations: a third with both, a third with each alone."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.45, 1.2, (size * size, 2))
    kind = rng.integers(0, 3, size * size)
    amounts[kind == 0, 0] = 0.0
    amounts[kind == 1, 1] = 0.0
    light = stain.TRANSMITTED_LIGHT * np.exp(-(amounts @ stains)) - 1.0
    return np.clip(np.rint(light), 0, 255).astype(np.uint8).reshape(size, size, 3)


@pytest.mark.parametrize("name", NORMALISERS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (17, 33), (500, 400)])
def test_any_size_comes_out_as_uint8(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    out = NORMALISERS[name](image)
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@pytest.mark.parametrize("name", NORMALISERS)
def test_is_deterministic_and_leaves_its_input_alone(name: str) -> None:
    image = stained_image()
    before = image.copy()
    np.testing.assert_array_equal(NORMALISERS[name](image), NORMALISERS[name](image))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("name", NORMALISERS)
def test_memory_layout_does_not_matter(name: str) -> None:
    view = stained_image()[::-1, ::2]
    np.testing.assert_array_equal(NORMALISERS[name](view), NORMALISERS[name](view.copy()))


@pytest.mark.parametrize("name", NORMALISERS)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (128, 128, 128), (60, 20, 120), (240, 200, 180)])
def test_constant_image_comes_out_constant(name: str, colour: tuple[int, int, int]) -> None:
    out = NORMALISERS[name](np.full((17, 33, 3), colour, np.uint8))
    assert (out == out[0, 0]).all()


@pytest.mark.parametrize("name", NORMALISERS)
def test_float_images_give_what_uint8_gives(name: str) -> None:
    image = stained_image()
    expected = NORMALISERS[name](image)
    np.testing.assert_array_equal(NORMALISERS[name](image.astype(np.float32)), expected)
    np.testing.assert_array_equal(NORMALISERS[name](image / 255.0), expected)


@pytest.mark.parametrize("name", NORMALISERS)
def test_what_is_no_rgb_image_is_refused(name: str) -> None:
    for bad in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.int32), np.full((5, 5, 3), np.nan)):
        with pytest.raises(InvalidParameter, match="accepted"):
            NORMALISERS[name](bad)


def test_a_contiguous_uint8_image_is_not_copied() -> None:
    image = soft_image()
    assert as_rgb_uint8(image) is image


def test_float_ranges_are_told_apart_by_the_maximum() -> None:
    np.testing.assert_array_equal(as_rgb_uint8(np.ones((1, 1, 3))), np.full((1, 1, 3), 255, np.uint8))
    np.testing.assert_array_equal(as_rgb_uint8(np.full((1, 1, 3), 1.6)), np.full((1, 1, 3), 2, np.uint8))


def test_reinhard_reference_is_the_statistics_of_all_pixels() -> None:
    images = [soft_image(1), soft_image(2, 17, 33), np.full((20, 20, 3), (90, 120, 100), np.uint8)]

    def once() -> Iterator[Image]:
        yield from images

    reference = ReinhardReference.fit(once())
    pixels = np.concatenate([to_lab(image).reshape(-1, 3) for image in images]).astype(np.float64)
    np.testing.assert_allclose(reference.mean, pixels.mean(axis=0), atol=1e-3)
    np.testing.assert_allclose(reference.std, pixels.std(axis=0), atol=1e-3)


def test_reinhard_reaches_the_reference() -> None:
    lab = to_lab(reinhard(soft_image(), MILD)).reshape(-1, 3)
    np.testing.assert_allclose(lab.mean(axis=0), MILD.mean, atol=0.15)
    np.testing.assert_allclose(lab.std(axis=0), MILD.std, atol=0.15)


def test_reinhard_leaves_an_image_of_the_reference_alone() -> None:
    image = soft_image()
    out = reinhard(image, ReinhardReference.fit([image]))
    assert np.abs(out.astype(int) - image).max() <= 1


def test_distance_is_the_colour_difference_of_the_means() -> None:
    white, black = np.full((8, 8, 3), 255, np.uint8), np.zeros((8, 8, 3), np.uint8)
    reference = ReinhardReference.fit([white])
    assert reinhard_distance(white, reference) == pytest.approx(0.0, abs=1e-3)
    assert reinhard_distance(black, reference) == pytest.approx(100.0, abs=1e-2), "the whole range of L"


def test_reinhard_moves_a_constant_image_to_the_reference_mean() -> None:
    out = reinhard(np.full((8, 8, 3), 200, np.uint8), MILD)
    np.testing.assert_allclose(to_lab(out)[0, 0], MILD.mean, atol=1.0)


@pytest.mark.parametrize("reference", [ReinhardReference, MacenkoReference])
def test_nothing_to_fit_on_is_an_error(reference: type[ReinhardReference] | type[MacenkoReference]) -> None:
    with pytest.raises(InvalidParameter, match="at least one is needed"):
        reference.fit([])


def test_macenko_finds_the_stains_of_a_mixture() -> None:
    reference = MacenkoReference.fit([stained_image(seed=seed) for seed in (1, 2, 3)])
    cosines = (np.asarray(reference.stain_matrix) * STAINS).sum(axis=1)
    assert cosines.min() > np.cos(np.radians(3.0))
    assert reference.stain_matrix[0][0] > reference.stain_matrix[1][0]
    np.testing.assert_allclose(np.linalg.norm(reference.stain_matrix, axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(reference.max_concentrations, 1.19, atol=0.1)


def test_macenko_with_its_own_reference_changes_almost_nothing() -> None:
    image = stained_image()
    out = macenko(image, MacenkoReference.fit([image]))
    assert np.abs(out.astype(int) - image).mean() < 2.0


def test_macenko_brings_two_stainings_together() -> None:
    other_stains = np.asarray([[0.60, 0.70, 0.39], [0.15, 0.90, 0.41]])
    other_stains /= np.linalg.norm(other_stains, axis=1, keepdims=True)
    ours, theirs = stained_image(), stained_image(other_stains)
    out = macenko(theirs, MacenkoReference.fit([ours]))
    assert np.abs(out.astype(int) - ours).mean() < 0.25 * np.abs(theirs.astype(int) - ours).mean()


def test_macenko_returns_an_image_with_too_little_stain_unchanged() -> None:
    image = np.full((96, 96, 3), 245, np.uint8)
    image[:5, :5] = stained_image()[:5, :5]
    np.testing.assert_array_equal(macenko(image, UNCALIBRATED), image)


def test_macenko_returns_a_grey_image_unchanged() -> None:
    grey = np.repeat(np.random.default_rng(4).integers(20, 180, (64, 64, 1), dtype=np.uint8), 3, axis=2)
    np.testing.assert_array_equal(macenko(grey, UNCALIBRATED), grey)


def test_macenko_fit_leaves_out_what_has_no_stain() -> None:
    blank = np.full((96, 96, 3), 245, np.uint8)
    assert MacenkoReference.fit([blank, stained_image()]) == MacenkoReference.fit([stained_image()])
    with pytest.raises(InvalidParameter, match="enough stain"):
        MacenkoReference.fit([blank])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (((1.0, 1.0, 0.0), (0.0, 1.0, 0.0)), "unit vectors"),
        (((0.0, 1.0, 0.0), (0.0, 1.0, 0.0)), "parallel"),
    ],
)
def test_macenko_reference_is_checked(rows: Any, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        MacenkoReference(stain_matrix=rows, max_concentrations=(1.0, 1.0))


@pytest.mark.parametrize("reference", [MILD, UNCALIBRATED])
def test_references_travel_as_json_and_are_frozen(reference: ReinhardReference | MacenkoReference) -> None:
    assert type(reference).model_validate_json(reference.model_dump_json()) == reference
    with pytest.raises(ValidationError, match="frozen"):
        reference.mean = (0.0, 0.0, 0.0)


def test_real_images_are_brought_to_one_colour() -> None:
    root: Path = settings().data_root
    folders = [root / "TestA" / "Neutrophil", root / "TestB-tecom" / "Neutrophil"]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"no real images at {root}; WBC_DATA_ROOT names their folder")

    def some(folder: Path) -> list[Image]:
        paths = islice(sorted(folder.iterdir()), 4)
        return [np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8) for path in paths]

    ours, theirs = (some(folder) for folder in folders)
    reference = ReinhardReference.fit(ours)
    apart = np.abs(np.subtract(ReinhardReference.fit(theirs).mean, reference.mean)).sum()
    moved = ReinhardReference.fit(reinhard(image, reference) for image in theirs)
    assert np.abs(np.subtract(moved.mean, reference.mean)).sum() < 0.2 * apart
    for image in theirs:
        assert macenko(image, MacenkoReference.fit(ours)).shape == image.shape
