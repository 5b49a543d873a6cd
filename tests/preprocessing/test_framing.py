"""Framing: the cell in the centre at a comparable size; the whole image if no cell is found."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from tests.drawn import draw
from wbc.preprocessing.foreground import find_foreground
from wbc.preprocessing.framing import Framing, frame, zoom_factor

OFF = Framing(mode="off")


def nucleus_after(rgb: NDArray[np.uint8], framing: Framing, size: int = 224) -> float:
    """Diameter of the nucleus found in the window, share of its side."""
    window, _ = frame(rgb, size, framing)
    found = find_foreground(window)
    assert found.valid
    return found.nucleus_diameter / size


def corners(rgb: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.array([rgb[0, 0], rgb[0, -1], rgb[-1, 0], rgb[-1, -1]], np.int64)


class TestSize:
    @pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
    def test_part_of_the_difference_is_taken_out(self, scale: float) -> None:
        framing = Framing(mode="cell")
        drawn = draw("Lymphocyte", np.random.default_rng(0), scale=scale, red_cells=3)
        before = find_foreground(drawn.rgb).nucleus_diameter / 224
        expected = framing.canonical * (before / framing.canonical) ** (1 - framing.strength)
        assert nucleus_after(drawn.rgb, framing) == pytest.approx(expected, rel=0.06)

    @pytest.mark.parametrize("label", ["Neutrophil", "Monocyte", "Lymphocyte"])
    def test_half_and_double_size_end_close_together(self, label: str) -> None:
        scales = (0.5, 2.0 if label != "Monocyte" else 1.6)  # a monocyte of double size runs out of the picture
        ends = [
            nucleus_after(draw(label, np.random.default_rng(1), scale=scale).rgb, Framing(mode="cell"))
            for scale in scales
        ]
        assert 0.6 < ends[0] / ends[1] < 1  # they began at 0.25 or 0.31

    @pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
    def test_full_strength_makes_nuclei_equally_large(self, scale: float) -> None:
        framing = Framing(mode="cell", strength=1.0, max_zoom=4.0)
        drawn = draw("Lymphocyte", np.random.default_rng(2), scale=scale)
        assert nucleus_after(drawn.rgb, framing) == pytest.approx(framing.canonical, rel=0.06)

    def test_no_strength_leaves_the_size(self) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(3), scale=0.8)
        before = find_foreground(drawn.rgb).nucleus_diameter / 224
        assert nucleus_after(drawn.rgb, Framing(mode="cell", strength=0.0)) == pytest.approx(before, rel=0.04)

    @pytest.mark.parametrize(("scale", "zoom"), [(0.3, 2.0), (1.0, 1.0), (1.9, 0.9)])
    def test_zoom_is_bounded(self, scale: float, zoom: float) -> None:
        framing = Framing(mode="cell", min_zoom=0.9, max_zoom=2.0, strength=1.0, canonical=0.27)
        found = find_foreground(draw("Lymphocyte", np.random.default_rng(0), scale=scale).rgb)
        assert zoom_factor(framing, found) == pytest.approx(zoom, rel=0.05)

    def test_devices_of_other_resolution_give_the_same_window(self) -> None:
        windows = [
            frame(draw("Monocyte", np.random.default_rng(4), size=s).rgb, 224, Framing(mode="cell"))[0]
            for s in (150, 450)
        ]
        assert np.abs(windows[0].astype(int) - windows[1]).mean() < 6  # grain, and half a pixel at the edges


class TestPlace:
    @pytest.mark.parametrize("centre", [(0.35, 0.4), (0.6, 0.35), (0.5, 0.62)])
    def test_cell_comes_to_the_middle(self, centre: tuple[float, float]) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(0), centres=[centre], red_cells=0)
        found = find_foreground(frame(drawn.rgb, 224, Framing(mode="cell"))[0])
        assert found.valid
        assert np.hypot(found.centre[0] - 111.5, found.centre[1] - 111.5) < 4

    @pytest.mark.parametrize("crop", [np.s_[:, 40:200], np.s_[50:180, :]])
    def test_picture_that_is_not_square(self, crop: tuple[slice, slice]) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(0), red_cells=0)
        picture = np.ascontiguousarray(drawn.rgb[crop])
        window, to_window = frame(picture, 224, Framing(mode="cell"))
        assert window.shape == (224, 224, 3)
        found = find_foreground(window)
        assert np.hypot(found.centre[0] - 111.5, found.centre[1] - 111.5) < 4
        rows, columns = np.nonzero(found.cell)
        assert np.ptp(rows) == pytest.approx(np.ptp(columns), rel=0.08)  # round is still round
        assert to_window[0, 0] == pytest.approx(to_window[1, 1])


class TestWholePicture:
    def test_off_gives_a_square_picture_of_the_size_back(self) -> None:
        rgb = draw("Monocyte", np.random.default_rng(0)).rgb
        window, to_window = frame(rgb, 224, OFF)
        np.testing.assert_array_equal(window, rgb)
        assert window is not rgb
        np.testing.assert_array_equal(to_window, [[1, 0, 0], [0, 1, 0]])

    @pytest.mark.parametrize("size", [112, 320])
    def test_off_resizes_the_whole(self, size: int) -> None:
        rgb = draw("Monocyte", np.random.default_rng(0)).rgb
        window, to_window = frame(rgb, size, OFF)
        assert window.shape == (size, size, 3)
        np.testing.assert_allclose(to_window @ [-0.5, -0.5, 1], [-0.5, -0.5])
        np.testing.assert_allclose(to_window @ [223.5, 223.5, 1], [size - 0.5, size - 0.5])
        assert np.abs(corners(window) - corners(rgb)).max() < 12

    def test_off_pads_the_shorter_side_to_a_square(self) -> None:
        rgb = np.zeros((100, 200, 3), np.uint8)
        rgb[0], rgb[-1] = (255, 0, 0), (0, 0, 255)
        rgb[40:60, 90:110] = 255
        window, to_window = frame(rgb, 200, OFF)
        np.testing.assert_allclose(to_window, [[1, 0, 0], [0, 1, 50]], atol=1e-9)
        np.testing.assert_array_equal(window[50:150], rgb)  # nothing is cut off
        np.testing.assert_array_equal(window[49], rgb[1])  # reflected about the edge, which is not repeated
        np.testing.assert_array_equal(window[150], rgb[-2])

    def test_cell_at_the_edge_falls_back_to_the_whole(self) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(0), centres=[(0.04, 0.5)], red_cells=0)
        found = find_foreground(drawn.rgb)
        assert found.touches_border
        assert zoom_factor(Framing(mode="cell"), found) == 1
        np.testing.assert_array_equal(frame(drawn.rgb, 224, Framing(mode="cell"))[0], drawn.rgb)

    def test_picture_without_a_cell_falls_back_to_the_whole(self) -> None:
        blank = np.full((224, 224, 3), (240, 230, 226), np.uint8)
        assert zoom_factor(Framing(mode="cell"), find_foreground(blank)) == 1
        np.testing.assert_array_equal(frame(blank, 224, Framing(mode="cell"))[0], blank)


class TestAffineMap:
    @pytest.mark.parametrize(("height", "width"), [(224, 224), (400, 300), (130, 180), (97, 61)])
    @pytest.mark.parametrize("framing", [OFF, Framing(mode="cell"), Framing(mode="cell", strength=1.0, canonical=0.15)])
    def test_maps_points_to_where_they_are_seen(self, height: int, width: int, framing: Framing) -> None:
        side = min(height, width)
        rgb = np.full((height, width, 3), 235, np.uint8)
        drawn = draw("Lymphocyte", np.random.default_rng(0), size=side, red_cells=0, scale=0.9)
        top, left = (height - side) // 2, (width - side) // 2
        rgb[top : top + side, left : left + side] = drawn.rgb
        found = find_foreground(rgb)
        assert found.valid
        # A green square no cell has; its middle is known to half a pixel.
        mark = max(4, side // 20)
        x, y = width // 2 + side // 5, height // 2 - side // 5
        rgb[y : y + mark, x : x + mark] = (0, 255, 0)
        window, to_window = frame(rgb, 224, framing, found)
        expected = to_window @ [x + (mark - 1) / 2, y + (mark - 1) / 2, 1]
        rows, columns = np.mgrid[0:224, 0:224]
        near = np.maximum(np.abs(columns - expected[0]), np.abs(rows - expected[1])) < to_window[0, 0] * mark + 3
        # A mirrored copy may stand elsewhere, where the window is larger than the picture.
        weight = near * np.clip(window[..., 1].astype(float) - window[..., 0] - 100, 0, None)
        seen = np.array([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
        assert np.abs(seen - expected).max() < 0.75

    def test_given_foreground_is_used(self) -> None:
        drawn = draw("Lymphocyte", np.random.default_rng(0), centres=[(0.4, 0.5)])
        alone, given = (
            frame(drawn.rgb, 224, Framing(mode="cell")),
            frame(drawn.rgb, 224, Framing(mode="cell"), find_foreground(drawn.rgb)),
        )
        np.testing.assert_array_equal(alone[0], given[0])
        np.testing.assert_array_equal(alone[1], given[1])

    def test_picture_is_left_alone(self) -> None:
        rgb = draw("Lymphocyte", np.random.default_rng(0)).rgb
        before = rgb.copy()
        frame(rgb, 112, Framing(mode="cell"))
        np.testing.assert_array_equal(rgb, before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "zoom"},
        {"canonical": 0},
        {"canonical": 1},
        {"strength": 1.1},
        {"strength": -0.1},
        {"min_zoom": 0},
        {"max_zoom": -1},
        {"border": "white"},
    ],
)
def test_configuration_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Framing.model_validate(wrong)
