"""Augmentation: reproducible, bounded, and each option has its effect."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from drawn import draw_cell

from training.augment import DEGRADATIONS, Recipe, augment
from training.transforms import (
    Geometry,
    blur,
    compress,
    crop_to_cell,
    lab_jitter,
    lower_resolution,
    quantise,
    randomise_background,
    sensor_noise,
    stain_jitter,
    tone,
    warp,
    white_balance,
)
from wbc.preprocessing.foreground import find_foreground

STEPS = [blur, compress, lower_resolution, quantise, sensor_noise, stain_jitter, white_balance, lab_jitter]
FLAT = np.full((64, 64, 3), 240, np.uint8)


@pytest.mark.parametrize("policy", ["published", "robust"])
def test_the_same_seed_gives_the_same_picture(cell, policy):
    recipe = Recipe(policy, crop_prob=0.5, bg_prob=0.5, stain_prob=0.5)
    one, same, other = (augment(cell, np.random.default_rng(seed), recipe, 0) for seed in (1, 1, 2))
    assert one.shape == cell.shape
    assert one.dtype == np.uint8
    assert (one == same).all()
    assert (one != other).any()


def test_the_policy_none_changes_nothing(cell, rng):
    assert augment(cell, rng, Recipe("none", crop_prob=1, bg_prob=1, stain_prob=1), 0) is cell


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("shape", [(128, 128), (90, 120)])
def test_a_step_keeps_shape_and_type_and_leaves_its_input_alone(rng, step, shape):
    picture = np.ascontiguousarray(draw_cell(1, rng, 128)[: shape[0], : shape[1]])
    before = picture.copy()
    changed = [step(picture, np.random.default_rng(seed)) for seed in range(5)]
    assert {(c.shape, c.dtype) for c in changed} == {(picture.shape, np.dtype(np.uint8))}
    assert (picture == before).all()
    assert any((c != picture).any() for c in changed)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("level", [0, 255])
def test_a_step_survives_a_constant_picture(step, level, rng):
    assert step(np.full((32, 32, 3), level, np.uint8), rng).shape == (32, 32, 3)


def test_strong_policies_leave_the_nucleus_to_be_found():
    # Augmentation that destroys the cell teaches nothing: of the drawn cells nearly all are still found.
    recipe = Recipe("robust")
    found = [
        find_foreground(
            augment(draw_cell(n % 5, np.random.default_rng(n), 128), np.random.default_rng(n), recipe, 0)
        ).valid
        for n in range(40)
    ]
    assert np.mean(found) > 0.9


def test_steps_of_the_robust_policy_are_left_out_by_their_settings(cell):
    def version(recipe, ramp=1.0):
        return augment(cell, np.random.default_rng(5), recipe, 0, ramp)

    without = version(Recipe("robust", degradations=0.0))
    np.testing.assert_array_equal(without, version(Recipe("robust"), ramp=0.0))
    assert (version(Recipe("robust", degradations=0.0, density_prob=0.0)) != without).any()


def test_the_ramp_scales_the_degradations_alone(cell, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "training.augment.DEGRADATIONS", tuple((1.0, lambda p, _: drawn.append(1) or p) for _ in DEGRADATIONS)
    )
    for ramp, least, most in ((0.0, 0, 0), (0.5, 10, 40), (1.0, 50, 50)):
        drawn.clear()
        for seed in range(10):
            augment(cell, np.random.default_rng(seed), Recipe("robust"), 0, ramp)
        assert least <= len(drawn) <= most


@pytest.mark.parametrize("field", ["crop_prob", "bg_prob", "stain_prob"])
def test_each_published_step_is_asked_for_by_its_probability(cell, field):
    without = Recipe("published")
    with_it = replace(without, **{field: 1.0})
    pictures = [augment(cell, np.random.default_rng(3), recipe, 0) for recipe in (without, with_it)]
    assert (pictures[0] != pictures[1]).any()


def test_class_scales_turn_crop_and_background_off_for_one_class(cell):
    recipe = Recipe("published", crop_prob=1.0, bg_prob=1.0, class_scales=(1, 1, 1, 1, 0))
    plain = augment(cell, np.random.default_rng(3), Recipe("published"), 4)
    assert (augment(cell, np.random.default_rng(3), recipe, 4) == plain).all()
    assert (augment(cell, np.random.default_rng(3), recipe, 0) != plain).any()


def test_the_crop_holds_the_cell_and_enlarges_it(cell, rng):
    found = find_foreground(cell)
    assert found.valid
    for _ in range(10):
        cropped = find_foreground(crop_to_cell(cell, rng, found))
        assert cropped.valid
        assert cropped.coverage > found.coverage
        assert not cropped.touches_border


def test_another_background_leaves_the_cell_alone(cell, rng):
    found = find_foreground(cell)
    changed = randomise_background(cell, rng, found, 1.0)
    assert (changed[found.cell] == cell[found.cell]).all()
    difference = np.abs(changed[~found.cell].astype(int) - cell[~found.cell])
    assert difference.mean() > 10
    weaker = randomise_background(cell, np.random.default_rng(0), found, 0.2)
    assert np.abs(weaker[~found.cell].astype(int) - cell[~found.cell]).mean() < difference.mean()


def test_without_strength_or_cell_the_background_stays(cell, rng):
    found = find_foreground(cell)
    assert randomise_background(cell, rng, found, 0.0) is cell
    empty = find_foreground(FLAT)
    assert not empty.valid
    assert randomise_background(FLAT, rng, empty, 1.0) is FLAT
    assert crop_to_cell(FLAT, rng, empty) is FLAT


def test_stain_jitter_keeps_what_tells_an_eosinophil():
    # Hue is what parts the classes: after the jitter an eosinophil's plasma is still redder than a lymphocyte's.
    for seed in range(20):
        redness = []
        for label in (1, 2):
            picture = draw_cell(label, np.random.default_rng(seed))
            found = find_foreground(picture)
            plasma = found.cell & ~found.nucleus
            for step in (lab_jitter, stain_jitter):
                moved = step(picture, np.random.default_rng(seed)).astype(float)
                redness.append((moved[plasma][:, 0] - moved[plasma][:, 2]).mean())
        assert redness[0] > redness[2]
        assert redness[1] > redness[3]


def test_a_warp_without_range_is_a_flip_or_nothing(cell):
    still = Geometry(zoom=(1.0, 1.0), shift=0.0, any_rotation=False)
    seen = {warp(cell, np.random.default_rng(seed), still).tobytes() for seed in range(8)}
    assert seen == {cell.tobytes(), np.ascontiguousarray(cell[:, ::-1]).tobytes()}


def test_tone_of_no_spread_is_the_identity(cell, rng):
    assert np.abs(tone(cell, rng, spread=0.0).astype(int) - cell).max() <= 1
