"""From a decoded image to the network's input: one configuration, one result."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.drawn import draw, drawn_cell
from wbc.bundle import PROBE_TOLERANCE
from wbc.labels import CLASSES
from wbc.preprocessing.enhance import UNCALIBRATED, VARIANTS, Variant
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor, probe
from wbc.preprocessing.stain import ReinhardReference, reinhard

REFERENCE = ReinhardReference(mean=(70.0, 15.0, -10.0), std=(15.0, 8.0, 7.0))
WHOLE = Framing(mode="off")


def spec(variant: Variant = "none", **fields: Any) -> Preprocessing:
    framed = {"framing": Framing(mode="cell")}
    return Preprocessing(variant=variant, **framed | {"macenko": UNCALIBRATED if variant == "v4" else None, **fields})


class TestSpecification:
    def test_references_have_to_be_there(self) -> None:
        with pytest.raises(ValidationError, match="variant=v4 needs a fitted Macenko reference"):
            Preprocessing(variant="v4")
        with pytest.raises(ValidationError, match="color_normalization=reinhard needs a fitted Reinhard reference"):
            Preprocessing(color_normalization="reinhard")

    @pytest.mark.parametrize(
        "wrong",
        [
            {"variant": "v5"},
            {"size": 16},
            {"size": 2048},
            {"color_normalization": "vahadane"},
            {"framing": "cell"},
            {"x": 1},
        ],
    )
    def test_other_values_are_refused(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValidationError):
            Preprocessing.model_validate(wrong)

    def test_survives_json(self) -> None:
        given = spec(
            "v4",
            color_normalization="reinhard",
            reinhard=REFERENCE,
            framing=Framing(mode="cell", strength=0.3),
            size=96,
        )
        read = Preprocessing.model_validate_json(given.model_dump_json())
        assert read == given
        assert read.fingerprint == given.fingerprint

    def test_fingerprint_changes_with_every_field(self) -> None:
        changed = [
            spec(),
            *(spec(variant) for variant in VARIANTS if variant != "none"),
            spec(size=128),
            spec(framing=WHOLE),
            spec(white_balance=True),
            spec(framing=Framing(diameters=1.6)),
            spec(framing=Framing(mode="cell", canonical=0.27)),
            spec(framing=Framing(mode="cell", strength=0.7)),
            spec(framing=Framing(mode="cell", min_zoom=0.6)),
            spec(framing=Framing(mode="cell", max_zoom=1.9)),
            spec(reinhard=REFERENCE),
            spec(color_normalization="reinhard", reinhard=REFERENCE),
            spec(reinhard=REFERENCE.model_copy(update={"mean": (70.0, 15.0, -9.9)})),
            spec("v3", macenko=UNCALIBRATED),
        ]
        fingerprints = [one.fingerprint for one in changed]
        assert len(set(fingerprints)) == len(changed)
        assert all(len(fingerprint) == 64 for fingerprint in fingerprints)
        assert spec().fingerprint == fingerprints[0]

    def test_every_field_is_covered_by_the_test_above(self) -> None:
        assert set(Preprocessing.model_fields) == {
            "variant",
            "size",
            "white_balance",
            "framing",
            "color_normalization",
            "reinhard",
            "macenko",
        }
        assert set(Framing.model_fields) == {"mode", "diameters", "canonical", "strength", "min_zoom", "max_zoom"}


class TestPreparing:
    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("shape", [(224, 224), (90, 140), (500, 310)])
    def test_shapes_and_types(self, variant: Variant, shape: tuple[int, int]) -> None:
        rgb = np.resize(drawn_cell("Monocyte", np.random.default_rng(0)), (*shape, 3))
        prepared = Preprocessor(spec(variant, size=160))(rgb)
        for picture in (prepared.display, prepared.model_input):
            assert picture.shape == (160, 160, 3)
            assert picture.dtype == np.uint8
        assert prepared.foreground.cell.shape == prepared.foreground.nucleus.shape == (160, 160)

    @pytest.mark.parametrize("variant", VARIANTS)
    def test_deterministic(self, variant: Variant) -> None:
        rgb = drawn_cell("Neutrophil", np.random.default_rng(0))
        before = rgb.copy()
        first, second = (Preprocessor(spec(variant))(rgb) for _ in range(2))
        np.testing.assert_array_equal(first.model_input, second.model_input)
        np.testing.assert_array_equal(first.display, second.display)
        np.testing.assert_array_equal(rgb, before)

    def test_none_off_and_right_size_changes_no_byte(self) -> None:
        rgb = drawn_cell("Basophil", np.random.default_rng(1))
        prepared = Preprocessor(spec(framing=WHOLE))(rgb)
        np.testing.assert_array_equal(prepared.display, rgb)
        np.testing.assert_array_equal(prepared.model_input, rgb)

    def test_colour_is_touched_after_the_picture_that_is_shown(self) -> None:
        rgb = drawn_cell("Eosinophil", np.random.default_rng(1))
        plain, normalised = (
            Preprocessor(one)(rgb) for one in (spec(), spec(color_normalization="reinhard", reinhard=REFERENCE))
        )
        np.testing.assert_array_equal(plain.display, normalised.display)
        np.testing.assert_array_equal(normalised.model_input, reinhard(normalised.display, REFERENCE))
        assert (plain.model_input != normalised.model_input).any()

    def test_a_reference_that_is_only_a_yardstick_changes_nothing(self) -> None:
        rgb = drawn_cell("Eosinophil", np.random.default_rng(1))
        with_it, without = (Preprocessor(one)(rgb) for one in (spec(reinhard=REFERENCE), spec()))
        np.testing.assert_array_equal(with_it.model_input, without.model_input)

    @pytest.mark.parametrize("label", CLASSES)
    def test_mask_travels_with_the_cell(self, label: str) -> None:
        drawn = draw(label, np.random.default_rng(2), scale=0.7, centres=[(0.4, 0.45)])
        prepared = Preprocessor(spec())(drawn.rgb)
        found = prepared.foreground
        assert found.valid
        # Inside the carried mask the picture is darker than outside, as the cell is.
        assert prepared.display[found.nucleus].mean() < prepared.display[~found.cell].mean() - 40
        assert found.coverage > drawn.cell.mean() * 1.1  # the cell was small and has been brought nearer

    def test_picture_without_a_cell(self) -> None:
        prepared = Preprocessor(spec("v1"))(np.full((100, 180, 3), 230, np.uint8))
        assert not prepared.foreground.valid
        assert prepared.foreground.reason
        assert not prepared.foreground.cell.any()
        assert (prepared.model_input == prepared.model_input[0, 0]).all()

    @pytest.mark.parametrize("variant", VARIANTS)
    @pytest.mark.parametrize("level", [0, 255])
    def test_constant_pictures_are_taken(self, variant: Variant, level: int) -> None:
        prepared = Preprocessor(spec(variant))(np.full((64, 64, 3), level, np.uint8))
        assert (prepared.display == level).all()


def apart(first: Preprocessing, second: Preprocessing) -> int:
    """Levels by which the probes of two specifications differ."""
    return max(abs(a - b) for a, b in zip(probe(Preprocessor(first)), probe(Preprocessor(second)), strict=True))


class TestProbe:
    def test_48_levels_that_are_the_same_in_every_process(self) -> None:
        here = probe(Preprocessor(Preprocessing(variant="v1")))
        assert len(here) == 48
        assert all(0 <= level <= 255 for level in here)
        command = (
            "from wbc.preprocessing.pipeline import *; print(probe(Preprocessor(Preprocessing(variant='v1'))), end='')"
        )
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        assert done.stdout == str(here)

    @pytest.mark.parametrize("first", VARIANTS)
    def test_tells_every_variant_from_every_other(self, first: Variant) -> None:
        for second in VARIANTS:
            if second != first:
                assert apart(spec(first), spec(second)) > PROBE_TOLERANCE, f"{first} and {second}"

    @pytest.mark.parametrize(
        "changed",
        [
            {"framing": WHOLE},
            {"framing": Framing(mode="cell", strength=1.0)},
            {"framing": Framing(mode="cell", strength=0.6)},
            {"framing": Framing(mode="cell", strength=0.0)},
            {"framing": Framing(mode="cell", canonical=0.28)},
            {"framing": Framing(mode="cell", canonical=0.22)},
            {"framing": Framing(mode="cell", max_zoom=1.4)},
            {"white_balance": True},
            {"framing": Framing(diameters=1.8)},
            {"color_normalization": "reinhard", "reinhard": REFERENCE},
        ],
        ids=lambda changed: str(next(iter(changed.values()))),
    )
    def test_tells_framing_and_normalisation(self, changed: dict[str, Any]) -> None:
        assert apart(spec(), spec(**changed)) > PROBE_TOLERANCE

    @pytest.mark.parametrize(
        "unseen",
        [
            {"framing": Framing(mode="cell", min_zoom=0.6)},  # the drawn cell is enlarged, and not by twice
            {"framing": Framing(mode="cell", max_zoom=2.5)},
            {"reinhard": REFERENCE},  # a yardstick alone changes no picture
            {"size": 256},  # mean colours hardly depend on it; the graph's own input size holds it
        ],
        ids=lambda unseen: next(iter(unseen)),
    )
    def test_what_it_cannot_tell_is_known(self, unseen: dict[str, Any]) -> None:
        assert apart(spec(), spec(**unseen)) <= PROBE_TOLERANCE

    @pytest.mark.parametrize(
        "fault",
        [lambda rgb: rgb[..., ::-1], lambda rgb: rgb[::-1], lambda rgb: rgb[:, ::-1], np.rot90],
        ids=["BGR", "upside down", "mirrored", "turned"],
    )
    def test_sees_code_that_prepares_otherwise(self, fault: Callable[[np.ndarray], np.ndarray]) -> None:
        class Faulty(Preprocessor):
            def normalise(self, framed: np.ndarray) -> np.ndarray:
                return np.ascontiguousarray(fault(super().normalise(framed)))

        sound, faulty = probe(Preprocessor(spec())), probe(Faulty(spec()))
        assert max(abs(a - b) for a, b in zip(sound, faulty, strict=True)) > PROBE_TOLERANCE
