"""Generated pictures without a cell, and crops of fields without a leukocyte."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from evaluation.unknown import DRAWN, SIDE, UNKNOWN, draw, empty_fields
from wbc.images import decode, encode_png
from wbc.settings import settings

FIELDS = settings().data_root.parent / "fields" / "bccd"


@pytest.mark.parametrize("group", list(DRAWN))
def test_drawn_pictures_are_different_and_the_same_for_the_same_seed(group: str, tmp_path: Path) -> None:
    first, again = draw(tmp_path / "a", group, 3, seed=1), draw(tmp_path / "b", group, 3, seed=1)
    pictures = [decode(path.read_bytes()) for path in first.paths]
    assert all(picture.shape == (SIDE, SIDE, 3) for picture in pictures)
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert [path.read_bytes() for path in first.paths] == [path.read_bytes() for path in again.paths]
    assert (first.labels == UNKNOWN).all()


def test_pieces_of_fields_touch_no_leukocyte(tmp_path: Path) -> None:
    fields = tmp_path / "fields"
    fields.mkdir()
    picture = np.full((480, 640, 3), 230, np.uint8)
    picture[100:200, 50:150] = (90, 50, 140)
    (fields / "one.png").write_bytes(encode_png(picture))
    with (fields / "boxes.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["image", "name", "xmin", "ymin", "xmax", "ymax"])
        rows.writerows([["one.png", "WBC", 50, 100, 150, 200], ["one.png", "RBC", 300, 300, 400, 400]])
    split = empty_fields(fields, tmp_path / "out", 5, seed=0)
    assert split is not None
    assert len(split.paths) == 1, "one piece a field"
    assert (decode(split.paths[0].read_bytes()) == 230).all()


def test_a_field_full_of_leukocytes_gives_no_piece(tmp_path: Path) -> None:
    (tmp_path / "full.png").write_bytes(encode_png(np.zeros((300, 300, 3), np.uint8)))
    (tmp_path / "boxes.csv").write_text("image,name,xmin,ymin,xmax,ymax\nfull.png,WBC,0,0,300,300\n")
    split = empty_fields(tmp_path, tmp_path / "out", 5, seed=0)
    assert split is not None
    assert split.paths == ()


def test_without_fields_there_are_no_pieces(tmp_path: Path) -> None:
    assert empty_fields(tmp_path, tmp_path / "out", 5, seed=0) is None


@pytest.mark.skipif(not FIELDS.is_dir(), reason="no fields next to WBC_DATA_ROOT")
def test_real_fields_give_pieces(tmp_path: Path) -> None:
    split = empty_fields(FIELDS, tmp_path, 4, seed=0)
    assert split is not None
    assert len(split.paths) == 4
