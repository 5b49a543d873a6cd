"""The medical enhanced filter. `python tests/preprocessing/test_enhance.py` prints GOLDEN anew."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from wbc.errors import InvalidParameter
from wbc.preprocessing import enhance as filters
from wbc.preprocessing.enhance import UNCALIBRATED, VARIANTS, Variant, enhance
from wbc.preprocessing.stain import MacenkoReference
from wbc.settings import settings

Image = NDArray[np.uint8]

STEPS: tuple[Callable[[NDArray[Any]], Image], ...] = (
    filters.percentile_normalise,
    filters.clahe_two_scale,
    filters.clahe_adaptive,
    filters.bilateral,
    filters.hat_contrast,
    filters.nucleus_gradients,
    filters.log_sharpen,
)

# Mean red and green of the 3x3 blocks of each variant's output on synthetic_cell(48, 48).
GOLDEN: dict[Variant, list[list[float]]] = {
    "none": [
        [222.4, 228.9, 239.1, 226.4, 121.4, 221.0, 239.2, 221.0, 221.8],
        [186.0, 210.5, 218.9, 207.2, 89.1, 201.5, 219.2, 201.6, 185.2],
    ],
    "v1": [
        [204.0, 225.5, 245.5, 222.3, 87.1, 216.8, 244.7, 213.8, 206.2],
        [186.1, 229.9, 246.1, 226.4, 90.9, 221.2, 245.5, 218.1, 188.0],
    ],
    "v2": [
        [199.3, 214.1, 226.9, 212.8, 85.8, 206.6, 226.5, 203.7, 203.9],
        [181.6, 218.6, 227.5, 216.9, 89.6, 211.1, 227.3, 208.1, 185.8],
    ],
    "v3": [
        [193.9, 213.3, 226.2, 214.7, 89.2, 208.6, 226.7, 203.0, 200.3],
        [176.0, 217.7, 226.8, 218.6, 91.5, 212.9, 227.5, 207.0, 182.0],
    ],
    "v4": [
        [182.5, 208.8, 214.3, 211.5, 87.6, 207.8, 217.0, 198.5, 186.7],
        [142.9, 212.4, 207.8, 213.4, 97.0, 211.4, 209.9, 202.5, 147.1],
    ],
}


def synthetic_cell(height: int = 224, width: int = 224, seed: int = 7) -> Image:
    """Beige ground, two red cells, a pale leukocyte with a granular two-lobed violet nucleus, a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    u, v = x / width, y / height

    def disc(cx: float, cy: float, radius: float) -> NDArray[np.bool_]:
        return np.asarray((u - cx) ** 2 + (v - cy) ** 2 < radius**2)

    image = np.full((height, width, 3), (240.0, 220.0, 205.0))
    image[disc(0.15, 0.2, 0.13) | disc(0.85, 0.8, 0.13)] = (205.0, 150.0, 150.0)
    image[disc(0.5, 0.5, 0.28)] = (200.0, 185.0, 215.0)
    nucleus = disc(0.43, 0.45, 0.13) | disc(0.58, 0.58, 0.12)
    image[nucleus] = (90.0, 50.0, 140.0)
    image[nucleus] += rng.normal(0.0, 12.0, (int(nucleus.sum()), 1))
    return np.clip(image + rng.normal(0.0, 2.0, image.shape), 0, 255).astype(np.uint8)


def run(image: NDArray[Any], variant: Variant) -> Image:
    return enhance(image, variant, UNCALIBRATED)


def block_means(image: Image) -> list[list[float]]:
    side = image.shape[0] // 3
    blocks = image[: 3 * side, : 3 * side].reshape(3, side, 3, side, 3).mean(axis=(1, 3))
    return [[round(float(value), 1) for value in blocks[..., channel].ravel()] for channel in (0, 1)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_repeats_itself_in_any_thread(variant: Variant) -> None:
    image = synthetic_cell()
    first = run(image, variant)
    with ThreadPoolExecutor(4) as pool:
        for other in pool.map(lambda _: run(image, variant), range(8)):
            np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (17, 33), (500, 400)])
def test_any_size_comes_out_as_it_went_in(variant: Variant, shape: tuple[int, int]) -> None:
    out = run(synthetic_cell(*shape), variant)
    assert out.shape == (*shape, 3)
    assert out.dtype == np.uint8


@pytest.mark.parametrize("variant", VARIANTS)
def test_input_is_not_modified(variant: Variant) -> None:
    image = synthetic_cell()
    before = image.copy()
    run(image, variant)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("step", STEPS)
def test_no_step_modifies_its_input(step: Callable[[NDArray[Any]], Image]) -> None:
    image = synthetic_cell()
    image.setflags(write=False)
    out = step(image)
    assert out.shape == image.shape
    assert out.dtype == np.uint8
    assert not np.shares_memory(out, image)
    assert (out != image).any()


@pytest.mark.parametrize("variant", VARIANTS)
def test_memory_layout_does_not_matter(variant: Variant) -> None:
    wide = synthetic_cell(224, 448)
    view = wide[::-1, ::2]
    assert not view.flags.c_contiguous
    np.testing.assert_array_equal(run(view, variant), run(view.copy(), variant))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (77, 77, 77), (240, 200, 180), (60, 20, 120)])
@pytest.mark.parametrize("shape", [(1, 1), (17, 33), (224, 224)])
def test_constant_image_comes_out_constant(
    variant: Variant, colour: tuple[int, int, int], shape: tuple[int, int]
) -> None:
    out = run(np.full((*shape, 3), colour, np.uint8), variant)
    assert (out == out[0, 0]).all()


def test_none_gives_the_very_image_back() -> None:
    image = synthetic_cell()
    assert enhance(image, "none") is image


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_images_are_taken_in_either_range(variant: Variant, dtype: type[np.floating[Any]]) -> None:
    image = synthetic_cell()
    expected = run(image, variant)
    np.testing.assert_array_equal(run(image.astype(dtype), variant), expected)
    if dtype is not np.float16:  # 11 bits of fraction still tell 8-bit levels apart, but need not round to them
        np.testing.assert_array_equal(run((image / 255.0).astype(dtype), variant), expected)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4), np.uint8), r"shape \(4, 4\)"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((0, 4, 3), np.uint8), r"shape \(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint16), "type uint16"),
        (np.zeros((4, 4, 3), np.bool_), "type bool"),
        (np.full((4, 4, 3), np.nan), "nan"),
        (np.full((4, 4, 3), np.inf), "inf"),
        (np.full((4, 4, 3), -0.5), r"\[-0.5, -0.5\]"),
        (np.full((4, 4, 3), 256.0), r"\[256, 256\]"),
    ],
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_no_rgb_image_is_refused(variant: Variant, image: NDArray[Any], words: str) -> None:
    with pytest.raises(InvalidParameter, match=rf"{words}.*accepted"):
        run(image, variant)


def test_unknown_variant_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameter, match=r"'v9'.*none, v1, v2, v3, v4"):
        enhance(synthetic_cell(), "v9")  # type: ignore[arg-type]


def test_v4_needs_a_reference() -> None:
    with pytest.raises(InvalidParameter, match="Macenko reference"):
        enhance(synthetic_cell(), "v4")


@pytest.mark.parametrize(("one", "other"), list(combinations(VARIANTS, 2)))
def test_variants_differ(one: Variant, other: Variant) -> None:
    image = synthetic_cell()
    difference = np.abs(run(image, one).astype(int) - run(image, other))
    assert difference.max() >= 8


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "none"])
def test_cell_structure_survives(variant: Variant) -> None:
    """The nucleus stays the darkest part, the cytoplasm stays apart from it and from the ground."""
    image = synthetic_cell()
    green = enhance(image, variant, MacenkoReference.fit([image]))[..., 1].astype(float)
    nucleus = green[95:108, 90:103].mean()
    cytoplasm = green[70:85, 140:155].mean()
    ground = green[5:20, 200:220].mean()
    assert nucleus + 60 < cytoplasm
    assert cytoplasm + 10 < ground


@pytest.mark.parametrize("variant", VARIANTS)
def test_golden_block_means(variant: Variant) -> None:
    # two grey levels: OpenCV's code paths round differently on different processors
    np.testing.assert_allclose(block_means(run(synthetic_cell(48, 48), variant)), GOLDEN[variant], atol=2.0)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (17, 33), (224, 224)])
def test_percentiles_are_numpys(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(3).integers(20, 200, (*shape, 3), dtype=np.uint8)
    out = filters.percentile_normalise(image)
    for channel in range(3):
        low, high = np.percentile(image[..., channel], (2, 98), method="lower").astype(float)
        plane = image[..., channel].astype(float)
        expected = plane if low == high else np.clip((plane - low) * 255 / (high - low), 0, 255)
        np.testing.assert_allclose(out[..., channel], expected, atol=0.51)


def test_percentile_step_leaves_a_constant_channel_as_it_is() -> None:
    image = synthetic_cell()
    image[..., 2] = 91
    out = filters.percentile_normalise(image)
    assert (out[..., 2] == 91).all()
    assert out[..., 0].min() == 0
    assert out[..., 0].max() == 255


def test_two_scale_clahe_is_fine_at_edges_and_coarse_elsewhere() -> None:
    """Far from edges the result is that of the 4x4 CLAHE."""
    image = synthetic_cell()
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lightness = np.ascontiguousarray(lab[..., 0])
    near = cv2.dilate(cv2.Canny(lightness, filters.CANNY_LOW, filters.CANNY_HIGH), np.ones((15, 15), np.uint8)) > 0
    lab[..., 0] = cv2.createCLAHE(filters.CLIP_LIMIT, filters.COARSE_GRID).apply(lightness)
    coarse = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    out = filters.clahe_two_scale(image)
    assert near.any()
    assert not near.all()
    np.testing.assert_array_equal(out[~near], coarse[~near])
    assert (out[near] != coarse[near]).any()


def test_adaptive_clahe_lifts_a_pale_image_more() -> None:
    image = synthetic_cell()
    pale = (128 + (image.astype(float) - 128) * 0.25).astype(np.uint8)

    def gain(picture: Image) -> float:
        return float(filters.clahe_adaptive(picture)[..., 1].std() / picture[..., 1].std())

    assert gain(pale) > gain(image)


def test_bilateral_smooths_ground_and_keeps_edges() -> None:
    image = synthetic_cell()
    out = filters.bilateral(image)
    assert out[5:25, 180:220].std(axis=(0, 1)).max() < 0.5 * image[5:25, 180:220].std(axis=(0, 1)).min()
    row = out[101, :, 1].astype(int)
    assert np.abs(np.diff(row)).max() > 80


def test_nucleus_step_darkens_the_rim_and_lightens_the_band_outside() -> None:
    image = np.full((64, 64, 3), 200, np.uint8)
    image[20:44, 20:44] = 30
    out = filters.nucleus_gradients(image)
    assert (out[20, 20:44] < 30).all()
    assert (out[18, 20:44] > 200).all()
    np.testing.assert_array_equal(out[26:38, 26:38], image[26:38, 26:38])
    np.testing.assert_array_equal(out[:16], image[:16])


def test_nucleus_step_leaves_pale_cells_alone() -> None:
    image = np.full((64, 64, 3), 220, np.uint8)
    image[20:44, 20:44] = 150
    np.testing.assert_array_equal(filters.nucleus_gradients(image), image)


def test_sharpening_changes_edges_and_not_one_byte_of_flat_ground() -> None:
    """The ground is noisy, so that its Laplacian is not zero: it is the edge mask that protects it."""
    rng = np.random.default_rng(5)
    image = rng.integers(198, 204, (96, 96, 3), dtype=np.uint8)
    image[30:66, 30:66] = rng.integers(58, 64, (36, 36, 3), dtype=np.uint8)
    far = np.ones((96, 96), bool)
    far[26:70, 26:70] = False
    far[34:62, 34:62] = True
    out = filters.log_sharpen(image)
    np.testing.assert_array_equal(out[far], image[far])
    assert (out[~far] != image[~far]).any()
    assert float(out[48, :, 0].max()) - float(out[48, :, 0].min()) > 150


def test_real_images_keep_their_nuclei() -> None:
    folder: Path = settings().data_root / "TestA" / "Neutrophil"
    if not folder.is_dir():
        pytest.skip(f"no real images at {folder}; WBC_DATA_ROOT names their folder")
    for path in islice(sorted(folder.iterdir()), 3):
        image = np.asarray(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), np.uint8)
        dark = image[..., 1] <= np.percentile(image[..., 1], 5)
        for variant in VARIANTS:
            out = run(image, variant)
            assert out.shape == image.shape
            assert out[dark].mean() + 40 < out[~dark].mean(), (path.name, variant)


if __name__ == "__main__":
    for name in VARIANTS:
        print(f'    "{name}": {block_means(run(synthetic_cell(48, 48), name))},')  # noqa: T201
