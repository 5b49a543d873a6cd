"""Cell masks on drawn cells with known masks, on hand-drawn masks, and on images without a cell."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.drawn import BACKGROUND, draw
from wbc.images import decode
from wbc.labels import CLASSES
from wbc.preprocessing.foreground import find_foreground
from wbc.settings import settings

MASKS = settings().data_root.parent / "masks" / "tecom"


def dice(found: NDArray[np.bool_], known: NDArray[np.bool_]) -> float:
    """Twice the common area over the sum of both."""
    return float(2 * (found & known).sum() / (found.sum() + known.sum()))


class TestDrawnCells:
    @pytest.mark.parametrize("label", CLASSES)
    @pytest.mark.parametrize("seed", range(4))
    def test_cell_and_nucleus_are_found(self, label: str, seed: int) -> None:
        drawn = draw(label, np.random.default_rng(seed))
        found = find_foreground(drawn.rgb)
        assert found.valid
        assert found.reason == ""
        assert dice(found.cell, drawn.cell) > 0.92
        assert dice(found.nucleus, drawn.nucleus) > 0.88
        assert not (found.nucleus & ~found.cell).any()
        assert found.candidates == 1
        assert not found.touches_border

    @pytest.mark.parametrize("shape", [(224, 224), (128, 128), (90, 90), (600, 600)])
    def test_masks_have_the_size_of_the_picture(self, shape: tuple[int, int]) -> None:
        drawn = draw("Monocyte", np.random.default_rng(0), size=shape[0])
        found = find_foreground(drawn.rgb)
        assert found.cell.shape == found.nucleus.shape == shape
        assert found.cell.dtype == found.nucleus.dtype == np.bool_
        assert dice(found.cell, drawn.cell) > 0.9

    @pytest.mark.parametrize("crop", [np.s_[:, 30:194], np.s_[30:194, :]])
    def test_picture_that_is_not_square(self, crop: tuple[slice, slice]) -> None:
        drawn = draw("Neutrophil", np.random.default_rng(0))
        found = find_foreground(np.ascontiguousarray(drawn.rgb[crop]))
        assert found.cell.shape == drawn.cell[crop].shape
        assert dice(found.cell, drawn.cell[crop]) > 0.92

    @pytest.mark.parametrize("scale", [0.5, 0.75, 1.5])
    def test_other_magnifications(self, scale: float) -> None:
        drawn = draw("Neutrophil", np.random.default_rng(1), scale=scale)
        assert dice(find_foreground(drawn.rgb).cell, drawn.cell) > 0.88

    @pytest.mark.parametrize("gains", [(1.0, 0.9, 0.7), (0.7, 0.7, 0.7), (0.85, 0.95, 1.0)])
    def test_other_light(self, gains: tuple[float, float, float]) -> None:
        drawn = draw("Monocyte", np.random.default_rng(2))
        found = find_foreground(np.rint(drawn.rgb * np.array(gains)).astype(np.uint8))
        assert dice(found.cell, drawn.cell) > 0.92

    def test_without_red_cells(self) -> None:
        drawn = draw("Eosinophil", np.random.default_rng(3), red_cells=0)
        assert dice(find_foreground(drawn.rgb).cell, drawn.cell) > 0.92

    def test_same_picture_same_mask(self) -> None:
        rgb = draw("Basophil", np.random.default_rng(0)).rgb
        before = rgb.copy()
        first, second = find_foreground(rgb), find_foreground(rgb)
        np.testing.assert_array_equal(first.cell, second.cell)
        np.testing.assert_array_equal(rgb, before)


class TestMeasures:
    @pytest.mark.parametrize("label", CLASSES)
    def test_sizes_and_place(self, label: str) -> None:
        drawn = draw(label, np.random.default_rng(5))
        found = find_foreground(drawn.rgb)
        assert found.coverage == pytest.approx(drawn.cell.mean(), rel=0.15)
        assert found.cell_diameter == pytest.approx(2 * np.sqrt(drawn.cell.sum() / np.pi), rel=0.08)
        assert found.nucleus_diameter == pytest.approx(2 * np.sqrt(drawn.nucleus.sum() / np.pi), rel=0.12)
        rows, columns = np.nonzero(drawn.cell)
        assert np.hypot(found.centre[0] - columns.mean(), found.centre[1] - rows.mean()) < 4

    def test_of_nothing_found(self) -> None:
        found = find_foreground(np.full((60, 90, 3), 230, np.uint8))
        assert (found.coverage, found.cell_diameter, found.nucleus_diameter) == (0, 0, 0)
        assert found.centre == (44.5, 29.5)


class TestSeveralCells:
    def test_the_one_nearest_to_the_middle_is_taken_and_all_are_counted(self) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(0), centres=[(0.47, 0.5), (0.85, 0.2)], red_cells=0)
        found = find_foreground(drawn.rgb)
        assert found.valid
        assert found.candidates == 2
        assert np.hypot(found.centre[0] - 0.47 * 224, found.centre[1] - 0.5 * 224) < 8
        assert not found.cell[:70, 160:].any()

    def test_lobes_of_one_nucleus_are_one_cell(self) -> None:
        assert find_foreground(draw("Neutrophil", np.random.default_rng(0)).rgb).candidates == 1

    def test_three(self) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(1), scale=0.7, centres=[(0.5, 0.5), (0.15, 0.2), (0.85, 0.8)])
        assert find_foreground(drawn.rgb).candidates == 3


class TestBorder:
    @pytest.mark.parametrize("centre", [(0.02, 0.5), (0.5, 0.98), (0.98, 0.98)])
    def test_cell_that_runs_out_of_the_frame(self, centre: tuple[float, float]) -> None:
        found = find_foreground(draw("Monocyte", np.random.default_rng(0), centres=[centre], red_cells=0).rgb)
        assert found.valid
        assert found.touches_border

    def test_cell_that_fills_the_frame_is_never_all_ones(self) -> None:
        drawn = draw("Monocyte", np.random.default_rng(0), scale=2.6)
        found = find_foreground(drawn.rgb)
        assert found.coverage < 0.95
        if not found.valid:
            assert not found.cell.any()


def pictures_without_a_cell() -> dict[str, NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    faint = np.full((224, 224, 3), BACKGROUND, np.float64) + rng.normal(0, 2.5, (224, 224, 3))
    ramp = np.repeat(np.linspace(200, 250, 224), 224).reshape(224, 224).astype(np.uint8)
    return {
        "white": np.full((224, 224, 3), 255, np.uint8),
        "black": np.zeros((224, 224, 3), np.uint8),
        "grey": np.full((224, 224, 3), 128, np.uint8),
        "purple": np.full((224, 224, 3), (90, 50, 140), np.uint8),
        "blank field": np.clip(faint, 0, 255).astype(np.uint8),
        "uneven light": np.dstack([ramp] * 3),
        "noise": rng.integers(0, 256, (224, 224, 3), dtype=np.uint8),
        "tiny": np.full((16, 16, 3), 200, np.uint8),
    }


class TestNothingThere:
    @pytest.mark.parametrize("name", pictures_without_a_cell())
    def test_verdict_is_invalid_with_a_reason_and_an_empty_mask(self, name: str) -> None:
        found = find_foreground(pictures_without_a_cell()[name])
        assert not found.valid
        assert found.reason
        assert not found.cell.any()
        assert not found.nucleus.any()

    @pytest.mark.parametrize("seed", range(20))
    def test_no_picture_gives_an_all_ones_mask(self, seed: int) -> None:
        """Blurred noise of every grain, bright and dark, tinted and grey."""
        rng = np.random.default_rng(seed)
        grain = cv2.GaussianBlur(rng.normal(0, 1, (96, 96, 3)), (0, 0), float(rng.uniform(0.5, 20)))
        grain = grain / np.abs(grain).max() * rng.uniform(5, 120) + rng.uniform(20, 235, 3)
        found = find_foreground(np.clip(grain, 0, 255).astype(np.uint8))
        assert not found.cell.all()
        assert found.valid == bool(found.cell.any())
        assert found.valid == (found.reason == "")


class TestHandDrawnMasks:
    def test_mean_dice_on_tecom(self) -> None:
        if not MASKS.is_dir():
            pytest.skip(f"no {MASKS}; the hand-drawn masks are not part of this repository")
        images = {path.stem: path for path in (settings().data_root / "TestB-tecom").glob("*/*.png")}
        scores, invalid = [], 0
        for path in sorted(MASKS.glob("*.png")):
            known = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            assert known is not None
            found = find_foreground(decode(images[path.stem].read_bytes()))
            invalid += not found.valid
            scores.append(dice(found.cell, known > 0) if found.valid else 0.0)
        assert len(scores) == 300
        assert invalid <= 0.02 * len(scores)
        assert np.mean(scores) > 0.88, f"mean Dice {np.mean(scores):.4f}"
