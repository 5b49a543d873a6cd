"""Checks of the maps: planted good maps pass, planted bad ones fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from evaluation import intervals
from evaluation.saliency import checks, curves, drawn_masks, figures, randomisation, swaps, tables
from evaluation.saliency.agreement import measure_agreement
from evaluation.saliency.cli import check_saliency
from evaluation.saliency.off_cell import measure_focus
from evaluation.saliency.sample import Sample, list_files
from tests.drawn import DrawnCell, draw
from wbc.adaptation.image_quality import image_quality
from wbc.adaptation.review import Measures, ReviewThresholds, fit_min_focus_lift, reasons
from wbc.bundle import Bundle
from wbc.errors import DataError
from wbc.images import encode_png
from wbc.inference import Outputs
from wbc.labels import CLASSES
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
from wbc.preprocessing.foreground import Foreground
from wbc.preprocessing.pipeline import Prepared, Preprocessor

GRID = 7
SIZE = 56


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def network(tiny_bundle: Path) -> keras.Model:
    return keras.saving.load_model(tiny_bundle / "model.keras", compile=False)


@pytest.fixture
def images(rng: np.random.Generator) -> NDArray[np.uint8]:
    return np.stack([draw(name, rng).rgb for name in CLASSES])


def sample_of(cells: list[DrawnCell], cam: NDArray[np.float32], labels: NDArray[np.int64]) -> Sample:
    """Drawn cells with planted maps; each is predicted as its label."""
    found = [Foreground(cell.nucleus, cell.cell, True) for cell in cells]
    prepared = tuple(Prepared(cell.rgb, cell.rgb, f) for cell, f in zip(cells, found, strict=True))
    logits = np.eye(len(CLASSES), dtype=np.float32)[labels]
    outputs = Outputs(logits, np.zeros((len(cells), 1), np.float32), np.zeros((len(cells), 4), np.float32), cam)
    return Sample("Val", tuple(Path(f"{i}.png") for i in range(len(cells))), labels, prepared, outputs)


def planted(cells: list[DrawnCell], *, on: bool) -> NDArray[np.float32]:
    """Maps of the grid's size that mark the cell, or everything but the cell."""
    masks = [(cell.cell if on else ~cell.cell).astype(np.float32) for cell in cells]
    small = np.stack([cv2.resize(mask, (GRID, GRID), interpolation=cv2.INTER_AREA) for mask in masks])
    return np.repeat(small[:, None] ** 3, len(CLASSES), axis=1)


class TestEstimates:
    def test_mean_and_its_interval(self, rng: np.random.Generator) -> None:
        found = intervals.mean(rng.normal(2.0, 1.0, 400), seed=1)
        assert found is not None
        assert found.low < 2.0 < found.high
        assert found.high - found.low == pytest.approx(2 * 1.96 / np.sqrt(400), rel=0.15)
        assert found.n == 400

    def test_share_of_none_is_not_certain(self) -> None:
        found = intervals.share([False] * 20)
        assert found is not None
        assert (found.value, found.low) == (0.0, 0.0)
        assert found.high == pytest.approx(0.161, abs=0.002)  # Wilson, 0 of 20

    def test_nothing_has_no_estimate(self) -> None:
        assert intervals.mean([], seed=0) is None
        assert intervals.share([]) is None


class TestAgreement:
    def test_a_multiple_agrees(self, rng: np.random.Generator) -> None:
        cam = rng.random((3, 5, GRID, GRID)).astype(np.float32)
        cam[0, 1] = 0.0
        images = np.zeros((3, SIZE, SIZE, 3), np.uint8)
        found = measure_agreement(images, cam, lambda x: 3.0 * cam[: len(x)])
        assert found["passed"]
        assert found["maps"] == 15
        assert (found["empty_in_both"], found["empty_in_one"]) == (1, 0)

    @pytest.mark.parametrize("fault", ["shifted", "nan"])
    def test_another_map_does_not(self, rng: np.random.Generator, fault: str) -> None:
        cam = rng.random((2, 5, GRID, GRID)).astype(np.float32)
        other = cam.copy()
        other[1, 4, 3, 3] = np.nan if fault == "nan" else cam[1, 4, 3, 3] + 0.01
        assert not measure_agreement(np.zeros((2, SIZE, SIZE, 3), np.uint8), cam, lambda _: other)["passed"]


class TestRandomisation:
    def test_the_cascade_changes_every_trained_weight_and_restores_it(self, network: keras.Model) -> None:
        before = network.get_weights()
        names = list(randomisation.cascade(network, np.random.default_rng(0)))
        assert names[:4] == ["main_out", "dense_2", "dense_1", "attention"]
        for a, b in zip(before, network.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
        for _ in randomisation.cascade(network, np.random.default_rng(0)):
            changed = network.get_weights()
        for weight, a, b in zip(network.weights, before, changed, strict=True):
            if "moving" in weight.path or "aux" in weight.path or a.size < 8 or np.ptp(a) == 0:
                continue  # statistics, what no map comes from, and what a shuffle may leave as it was
            assert not np.array_equal(a, b), weight.path
            np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(b.ravel()))

    def test_stages_hold_every_weighted_layer_once(self, network: keras.Model) -> None:
        held = [layer.name for _, layers in randomisation.list_stages(network) for layer in layers]
        weighted = {layer.name for layer in network.layers if layer.weights} - {"aux_binary_out"}
        assert sorted(held) == sorted(weighted)

    def test_the_networks_own_maps(self, network: keras.Model, images: NDArray[np.uint8]) -> None:
        mapper = randomisation.closed_form_maps(network)
        found = randomisation.measure_randomisation(network, images, np.arange(5), mapper, seed=0, draws=1)
        assert len(found["stages"]) == len(randomisation.list_stages(network))
        assert all(-1.0 <= stage["rank_correlation"].value <= 1.0 for stage in found["stages"])

    @pytest.mark.parametrize("kind", ["constant", "zero", "gaussian"])
    def test_a_map_that_ignores_the_network_fails(
        self, network: keras.Model, images: NDArray[np.uint8], kind: str
    ) -> None:
        heat = {"constant": np.ones, "zero": np.zeros, "gaussian": lambda _: curves.centred_gaussian(GRID)}[kind](
            (7, 7)
        )
        maps = np.broadcast_to(np.asarray(heat, np.float32), (5, 5, GRID, GRID))
        found = randomisation.measure_randomisation(network, images, np.arange(5), lambda _: maps, seed=0, draws=1)
        assert not found["passed"]
        assert found["stages"][-1]["rank_correlation"].value == pytest.approx(1.0)

    def test_a_map_that_follows_the_network_passes(self, network: keras.Model, rng: np.random.Generator) -> None:
        images = np.zeros((20, SIZE, SIZE, 3), np.uint8)
        found = randomisation.measure_randomisation(
            network,
            images,
            np.zeros(20, np.int64),
            lambda x: rng.random((len(x), 5, GRID, GRID)).astype(np.float32),
            seed=0,
            draws=1,
        )
        assert found["passed"]

    def test_rank_correlation_is_spearmans(self, rng: np.random.Generator) -> None:
        a = rng.random((GRID, GRID))
        assert randomisation.rank_correlation(a, np.exp(3 * a)) == pytest.approx(1.0)
        assert randomisation.rank_correlation(a, -a) == pytest.approx(-1.0)
        # By hand: ranks 1, 2.5, 2.5, 4 and 1, 2, 4, 3: 3 / sqrt(4.5 * 5).
        assert randomisation.rank_correlation(np.array([0, 1, 1, 2.0]), np.array([0, 1, 3, 2.0])) == pytest.approx(
            0.6325, abs=1e-4
        )
        assert randomisation.rank_correlation(a, np.zeros_like(a)) == 0.0
        assert randomisation.rank_correlation(a, np.full_like(a, np.nan)) == 1.0


class TestCurves:
    @pytest.fixture
    def cornered(self) -> NDArray[np.uint8]:
        """Bright pictures with a dark patch in a corner, by which `by_corner` classifies."""
        images = np.full((12, SIZE, SIZE, 3), 230, np.uint8)
        images[:, :14, :14] = 20
        return images

    @staticmethod
    def by_corner(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        dark = 1.0 - images[:, :14, :14].mean(axis=(1, 2, 3)) / 255.0
        return np.stack([dark, *[(1 - dark) / 4] * 4], axis=1)

    def run(self, images: NDArray[np.uint8], heat: NDArray[np.float32]) -> dict[str, Any]:
        cell = Foreground(np.ones((SIZE, SIZE), np.bool_), np.ones((SIZE, SIZE), np.bool_), True)
        prepared = tuple(Prepared(image, image, cell) for image in images)
        labels, cam = np.zeros(len(images), np.int64), np.zeros((len(images), 5, GRID, GRID), np.float32)
        outputs = Outputs(np.eye(5, dtype=np.float32)[labels], labels[:, None], labels[:, None], cam)
        sample = Sample("Val", (Path("0.png"),) * len(images), labels, prepared, outputs)
        vars(sample)["heats"] = np.broadcast_to(heat, (len(images), SIZE, SIZE))
        return curves.measure_curves(sample, self.by_corner, seed=0)

    def test_a_map_of_the_evidence_beats_both_baselines(self, cornered: NDArray[np.uint8]) -> None:
        heat = np.zeros((SIZE, SIZE), np.float32)
        heat[:14, :14] = 1.0
        found = self.run(cornered, heat)
        assert found["insertion"]["passed"]
        assert found["deletion"]["passed"]
        assert found["deletion"]["mean_curve"]["gradcam"][0] == pytest.approx(
            found["insertion"]["mean_curve"]["gaussian"][-1]
        )

    def test_a_map_of_anything_else_fails(self, cornered: NDArray[np.uint8]) -> None:
        heat = np.zeros((SIZE, SIZE), np.float32)
        heat[-14:, -14:] = 1.0
        found = self.run(cornered, heat)
        assert not found["insertion"]["passed"]
        assert not found["deletion"]["passed"]

    def test_a_gaussian_does_not_beat_itself(self, cornered: NDArray[np.uint8]) -> None:
        found = self.run(cornered, curves.centred_gaussian(SIZE))
        assert not found["insertion"]["difference"]["gaussian"]["passed"]
        assert not found["deletion"]["difference"]["gaussian"]["passed"]


class TestDrawnMasks:
    @pytest.mark.parametrize(("on", "passes"), [(True, True), (False, False)])
    def test_energy_tells_maps_on_the_cell_from_maps_off_it(
        self, rng: np.random.Generator, on: bool, passes: bool
    ) -> None:
        cells = [draw(name, rng) for name in CLASSES]
        drawn = [drawn_masks.Drawn(f, f, f) for f in (Foreground(c.nucleus, c.cell, True) for c in cells)]
        found = drawn_masks.measure_energy(sample_of(cells, planted(cells, on=on), np.arange(5)), drawn, seed=0)
        assert found["passed"] is passes
        assert found["gradcam"]["hits"].value == float(on)
        assert (found["gradcam"]["lift"].value > 0) is on
        assert found["served_lift_error"].value == 0.0

    def test_dice(self) -> None:
        a, b = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.bool_)
        assert drawn_masks.dice(a, b) == 1.0
        a[:2], b[1:3] = True, True
        assert drawn_masks.dice(a, b) == 0.5
        assert drawn_masks.dice(a, ~a) == 0.0

    def test_a_picture_without_a_found_cell_counts(self) -> None:
        truth = np.zeros((8, 8), np.bool_)
        truth[2:6, 2:6] = True
        nothing = np.zeros((8, 8), np.bool_)
        drawn = Foreground(truth, truth, True)
        pairs = [
            drawn_masks.Drawn(drawn, found, drawn) for found in (drawn, Foreground(nothing, nothing, False, "none"))
        ]
        quality = drawn_masks.measure_foreground(pairs, seed=0)
        assert quality["invalid"].value == 0.5
        assert quality["cell_dice"].value == 1.0
        assert quality["cell_dice_invalid_as_0"].value == 0.5

    def test_masks_travel_with_their_picture(self, tiny_bundle: Path, tmp_path: Path, rng: np.random.Generator) -> None:
        cell = draw("Neutrophil", rng, 120)
        write_masked(tmp_path, "001", cell)
        preprocessor = Preprocessor(Bundle.load(tiny_bundle).manifest.preprocessing)
        read = drawn_masks.read_drawn(tmp_path / "001.png", tmp_path / "mask-001.png", preprocessor)
        np.testing.assert_array_equal(read.truth.cell, cell.cell)
        shown = preprocessor(cell.rgb).foreground
        assert drawn_masks.dice(read.framed.cell, shown.cell) > 0.9
        with pytest.raises(DataError, match="no mask"):
            drawn_masks.read_drawn(tmp_path / "001.png", tmp_path / "missing.png", preprocessor)


class TestSwaps:
    def test_a_classifier_of_backgrounds_is_detected(self, rng: np.random.Generator) -> None:
        cells = [draw(CLASSES[0], rng, red_cells=0) for _ in range(6)]
        labels = np.array([0, 1, 0, 1, 0, 1])
        tinted = [
            DrawnCell(_tinted(c, 60 * int(label)), c.nucleus, c.cell) for c, label in zip(cells, labels, strict=True)
        ]
        sample = sample_of(tinted, planted(cells, on=True), labels)
        found = swaps.swap_backgrounds(sample, list(sample.foregrounds), _by_background, seed=0)
        assert found["control_flipped"].value == 0.0
        assert found["cells_flipped"].value == 1.0
        assert found["flips_to_the_donors_class"].value == 1.0

    def test_a_classifier_of_cells_does_not_change(self, rng: np.random.Generator) -> None:
        cells = [draw(name, rng) for name in ("Lymphocyte", "Monocyte") * 3]
        sample = sample_of(cells, planted(cells, on=True), np.array([2, 3] * 3))
        found = swaps.swap_backgrounds(sample, list(sample.foregrounds), _by_middle, seed=0)
        assert found["cells_flipped"].value == 0.0
        assert found["cells_flipped"].high > 0.3
        assert found["cells"] == 6

    def test_the_donors_cell_is_gone(self, rng: np.random.Generator) -> None:
        cell = draw("Lymphocyte", rng)
        background = swaps.paint_over(cell.rgb, cell.cell)
        assert background[cell.cell].min() > cell.rgb[cell.nucleus].max()

    def test_cells_without_a_mask_are_left_out(self, rng: np.random.Generator) -> None:
        cells = [draw(CLASSES[0], rng)]
        sample = sample_of(cells, planted(cells, on=True), np.array([0]))
        nothing = np.zeros_like(cells[0].cell)
        found = swaps.swap_backgrounds(sample, [Foreground(nothing, nothing, False, "none")], _by_middle, seed=0)
        assert (found["cells"], found["without_valid_mask"]) == (0, 1)
        assert found["cells_flipped"] is None


def test_maps_off_the_cell_are_flagged(rng: np.random.Generator) -> None:
    cells = [draw(name, rng) for name in CLASSES]
    on = measure_focus(sample_of(cells, planted(cells, on=True), np.arange(5)), 0.0, seed=0)
    off = measure_focus(sample_of(cells, planted(cells, on=False), np.arange(5)), 0.0, seed=0)
    assert on["flagged"].value == 0.0
    assert off["flagged"].value == 1.0
    assert off["errors_among_flagged"].value == 0.0
    assert off["errors_among_unflagged"] is None
    assert [row["below_0"].value for row in off["by_class"].values()] == [1.0] * 5
    assert {row["median_strength_below_0"] for row in on["by_class"].values()} == {None}


@pytest.mark.parametrize(("lift", "flagged"), [(None, False), (-0.05, True), (0.1, True), (0.3, False)])
def test_the_review_reason(lift: float | None, flagged: bool) -> None:
    quality = image_quality(draw("Monocyte", np.random.default_rng(0)).rgb)
    measured = Measures(confidence=0.99, quality=quality, cells=1, focus_lift=lift)
    found = reasons(measured, ReviewThresholds(min_confidence=0.5, min_focus_lift=0.2))
    assert [reason.code for reason in found] == ["attention_off_cell"] * flagged
    assert not reasons(measured, ReviewThresholds(min_confidence=0.5, min_focus_lift=None))


def test_the_threshold_of_the_flag() -> None:
    lift = np.linspace(0.1, 1.0, 201)
    limit = fit_min_focus_lift(lift, accepted_flags=0.02)
    assert (lift < limit).sum() <= 4
    assert limit == pytest.approx(0.118)
    assert fit_min_focus_lift(lift - 1.0) == 0.0  # a map no better than an even spread is never usual
    assert fit_min_focus_lift(np.empty(0)) == 0.0


def test_any_first_part_of_the_files_is_even(drawn_dataset: Path) -> None:
    paths, labels = list_files(drawn_dataset, "Val", 15)
    assert len(set(paths)) == 15
    assert np.bincount(labels).tolist() == [3] * 5
    assert np.bincount(labels[:5]).tolist() == [1] * 5


@pytest.fixture(scope="module")
def data(drawn_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set with `Val` and a `TestB-tecom`, and the masks of the latter."""
    root, masks = tmp_path_factory.mktemp("smears"), tmp_path_factory.mktemp("masks")
    (root / "Val").symlink_to(drawn_dataset / "Val")
    rng = np.random.default_rng(5)
    for number, name in enumerate(CLASSES):
        folder = root / "TestB-tecom" / name
        folder.mkdir(parents=True)
        write_masked(folder, f"{number:03d}", draw(name, rng, 120), masks / f"{number:03d}.png")
    return root, masks


@pytest.fixture(scope="module")
def results(tiny_bundle: Path, data: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "saliency.json"
    checks.write(checks.check(checks.CheckConfig(tiny_bundle, *data, images=5)), path)
    return path


class TestCommand:
    def test_the_results_hold_everything(self, results: Path) -> None:
        read = checks.read(results)
        assert read["agreement"]["passed"]
        assert read["agreement"]["maps"] == 25
        assert read["seed"] == 0
        assert set(checks.PACKAGES) == set(read["versions"])
        assert read["drawn_masks"]["images"] == read["foreground"]["images"] == 5
        assert [row["split"] for row in read["background_swaps"]] == ["Val", "TestB-tecom"]
        assert [row["split"] for row in read["off_cell"]["splits"]] == ["Val", "TestB-tecom"]

    def test_the_same_seed_gives_the_same_results(
        self, results: Path, tiny_bundle: Path, data: tuple[Path, Path], tmp_path: Path
    ) -> None:
        checks.write(checks.check(checks.CheckConfig(tiny_bundle, *data, images=5)), tmp_path / "again.json")
        first, again = checks.read(results), checks.read(tmp_path / "again.json")
        for varies in ("created", "wall_time_s"):
            del first[varies], again[varies]
        assert first == again

    def test_a_document_is_updated(self, results: Path, tmp_path: Path) -> None:
        page = tmp_path / "page.md"
        block = "from evaluation.saliency.tables import show; cog.outl(show())"
        page.write_text(f"Before.\n<!-- [[[cog import cog; {block} ]]] -->\nold\n<!-- [[[end]]] -->\nAfter.\n")
        tables.update(page, results)
        text = page.read_text()
        assert text.startswith("Before.\n")
        assert text.endswith("After.\n")
        assert "\nold\n" not in text
        assert "| insertion, larger is better |" in text
        with pytest.raises(DataError, match="could not be updated"):
            tables.update(tmp_path / "absent.md", results)

    def test_figures_are_drawn(self, results: Path, tiny_bundle: Path, tmp_path: Path) -> None:
        figures.draw_all(checks.read(results), tiny_bundle, tmp_path / "figures")
        names = sorted(path.name for path in (tmp_path / "figures").iterdir())
        assert names == ["curves.png", "drawn_cell.png", "randomisation.png"]

    def test_a_failed_check_is_the_exit_code(
        self, results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wrong = json.loads(results.read_text())
        wrong["randomisation"]["passed"] = False
        monkeypatch.setattr(checks, "check", lambda *_: wrong)
        out = tmp_path / "out.json"
        run = CliRunner().invoke(check_saliency, ["--bundle", str(tmp_path), "--output", str(out)])
        assert run.exit_code == 1
        assert "randomisation failed" in run.output
        assert out.is_file()

    def test_a_data_set_without_val(self, tiny_bundle: Path, tmp_path: Path) -> None:
        (tmp_path / "Train").mkdir()
        with pytest.raises(DataError, match="no split 'Val'"):
            checks.check(checks.CheckConfig(tiny_bundle, tmp_path, tmp_path))


def write_masked(folder: Path, name: str, cell: DrawnCell, mask: Path | None = None) -> None:
    levels = np.where(cell.nucleus, drawn_masks.NUCLEUS, np.where(cell.cell, drawn_masks.CYTOPLASM, 0)).astype(np.uint8)
    (folder / f"{name}.png").write_bytes(encode_png(cell.rgb))
    (mask or folder / f"mask-{name}.png").write_bytes(encode_png(levels))


def _tinted(cell: DrawnCell, amount: int) -> NDArray[np.uint8]:
    shifted = np.clip(cell.rgb.astype(np.int64) - (0, 0, amount), 0, 255).astype(np.uint8)
    return np.where(cell.cell[..., None], cell.rgb, shifted)


def _by_background(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Class 1 where the corner is yellow, else class 0."""
    corner = pictures[:, :20, :20].astype(np.float64).mean(axis=(1, 2))
    return np.eye(5)[(corner[:, 0] - corner[:, 2] > 45).astype(np.int64)]


def _by_middle(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Lymphocyte where the middle is dark, else monocyte."""
    middle = pictures[:, 100:124, 100:124].mean(axis=(1, 2, 3))
    return np.eye(5)[np.where(middle < 105, 2, 3)]
