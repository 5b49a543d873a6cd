"""Atomic replacement: the file is complete, or the old one stays."""

from __future__ import annotations

import pytest

from wbc.atomic import replaced_atomically


def test_the_file_is_replaced_at_the_end_of_the_block(tmp_path):
    file = tmp_path / "model.weights.h5"
    file.write_text("old")
    with replaced_atomically(file) as new:
        assert new.name.endswith(file.name)
        new.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_keeps_the_old_file_and_leaves_no_other(tmp_path):
    file = tmp_path / "result.json"
    file.write_text("old")
    with pytest.raises(ValueError, match="half"), replaced_atomically(file) as new:  # noqa: PT012
        new.write_text("ne")
        raise ValueError("half written")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
