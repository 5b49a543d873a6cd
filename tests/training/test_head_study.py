"""The study of heads: every row and seed scored, features computed once, a device's row chosen without the device."""

from __future__ import annotations

import json

from conftest import tiny_backbone

from training import head_study


def test_rows_and_seeds_are_scored_on_features_that_are_computed_once(settings_for, tmp_path, monkeypatch):
    rows = {"none": {"preprocessing": "none"}, "v2, halved": {"preprocessing": "v2", "input_reduction": 2}}
    monkeypatch.setattr("training.metrics.ENOUGH", 1)
    config = settings_for()
    found = head_study.study(config, (1, 2), tmp_path / "kept", rows=rows, backbone=tiny_backbone)
    assert list(found["rows"]) == list(rows)
    assert all(len(scores["Val"]) == 2 for scores in found["rows"].values())
    assert all(0 <= score <= 1 for scores in found["rows"].values() for score in scores["Val"])
    kept = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert len(kept) == 4
    assert all(name.endswith(("-train.npy", "-Val.npy")) for name in kept)
    monkeypatch.setattr(head_study, "augment", None)  # nothing is augmented again
    again = head_study.study(config, (1, 2), tmp_path / "kept", rows=rows, backbone=tiny_backbone)
    assert again["rows"] == found["rows"]


def test_rows_of_the_same_settings_and_seeds_are_taken_from_an_earlier_study(settings_for, tmp_path, monkeypatch):
    monkeypatch.setattr("training.metrics.ENOUGH", 1)
    rows = {"none": {"preprocessing": "none"}}
    config = settings_for()
    earlier = head_study.study(config, (1,), tmp_path, rows=rows, backbone=tiny_backbone)
    earlier["rows"]["none"] = {"Val": [0.123]}
    known = json.loads(json.dumps(earlier))

    def rows_of(seeds, changes):
        given = {"none": {"preprocessing": "none", **changes}}
        found = head_study.study(config, seeds, tmp_path, rows=given, known=known, backbone=tiny_backbone)
        return found["rows"]["none"]

    assert rows_of((1,), {}) == {"Val": [0.123]}
    assert rows_of((2,), {}) != {"Val": [0.123]}
    assert rows_of((1,), {"balance": 0.0}) != {"Val": [0.123]}


def test_a_device_has_no_say_in_what_is_chosen_for_it():
    rows = {"a": {"x": [0.9, 0.9], "y": [0.2, 0.2], "z": [0.3, 0.3]}, "b": {"x": [0.1], "y": [0.5], "z": [0.6]}}
    chosen = head_study.leave_one_out(rows)
    assert {device: row["chosen"] for device, row in chosen.items()} == {"x": "b", "y": "a", "z": "a"}
    assert chosen["x"]["balanced_accuracy"] == 0.1
