"""Speed of the input pipeline."""

from __future__ import annotations

from conftest import tiny_backbone

from training.pipeline_speed import measure_pipeline
from training.prepare import build_with

PARTS = ("decode", "load", "augment", "prepare", "pipeline_cold", "pipeline", "step")


def test_every_part_is_measured(settings_for):
    speed = measure_pipeline(settings_for(augmentation="robust"), build_with(tiny_backbone), steps=2)
    assert speed.images == 16
    assert all(getattr(speed, part) > 0 for part in PARTS)
    assert 0 < speed.load_share < speed.pipeline_share
