"""Splits: reading of folders, files left out, and held-out validation splits."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from drawn import draw_cell, write_dataset

from wbc.data.cache import ImageCache
from wbc.data.checks import check
from wbc.data.dataset import Split, domains, hold_out, load_data, read_split, readable
from wbc.errors import DataError
from wbc.images import encode_png
from wbc.labels import CLASSES

NO_CACHE = ImageCache(None)


@pytest.fixture
def root(tmp_path):
    write_dataset(tmp_path / "data", {"Train": 4})
    return tmp_path / "data"


def load(root, **changes):
    wanted = {"val_fraction": 0.25, "seed": 0, "limit": 0, "cache": NO_CACHE, "workers": 2}
    return load_data(root, ("Train",), **{**wanted, **changes})


def test_class_folders_are_known_in_any_letter_case(root):
    (root / "Train" / "Basophil").rename(root / "Train" / "bASOPHIL")
    assert read_split(root, "Train").counts.tolist() == [4] * 5


def test_folders_of_one_class_in_two_letter_cases_are_one_class(root):
    shutil.copytree(root / "Train" / "Monocyte", root / "Train" / "MONOCYTE")
    assert read_split(root, "Train").counts.tolist() == [4, 4, 4, 8, 4]


def test_an_unknown_class_folder_is_named(root):
    (root / "Train" / "Blast").mkdir()
    with pytest.raises(DataError, match="unknown class 'Blast'"):
        read_split(root, "Train")


def test_hidden_folders_are_no_classes(root):
    (root / "Train" / ".ipynb_checkpoints").mkdir()
    assert len(read_split(root, "Train").paths) == 20


def test_a_missing_split_says_which_there_are(root):
    with pytest.raises(DataError, match=r"no split 'Training'.*its folders are Train"):
        read_split(root, "Training")
    with pytest.raises(DataError, match="no folder"):
        read_split(root / "nowhere", "Train")


def test_the_limit_is_a_class_and_evenly_spaced(root):
    split = read_split(root, "Train", limit=2)
    assert split.counts.tolist() == [2] * 5
    assert [path.stem for path in split.paths[:2]] == ["000", "003"]


def test_test_domains_are_found(root):
    for name in ("TestB", "TestA", "Val"):
        (root / name).mkdir()
    assert domains(root) == ["TestA", "TestB"]


def test_without_val_a_share_of_each_class_is_held_out(root):
    data = load(root)
    assert data.held_out
    assert data.train.counts.tolist() == [3] * 5
    assert data.val.counts.tolist() == [1] * 5
    assert not set(data.train.paths) & set(data.val.paths)
    assert load(root).val.paths == data.val.paths
    assert {load(root, seed=seed).val.paths for seed in range(5)} != {data.val.paths}
    assert load(root, val_fraction=0.5).val.counts.tolist() == [2] * 5


def test_a_val_folder_is_taken_as_it_is(root):
    shutil.copytree(root / "Train", root / "val")
    data = load(root)
    assert not data.held_out
    assert len(data.train.paths) == len(data.val.paths) == 20


def test_copies_of_a_picture_stay_on_one_side(tmp_path):
    paths = []
    for number in range(12):
        path = tmp_path / f"{number}.png"
        path.write_bytes(
            encode_png(draw_cell(0, np.random.default_rng(number // 4)))
        )  # three pictures, four times each
        paths.append(path)
    split = Split("Train", tuple(paths), np.zeros(12, np.int64))
    train, val = hold_out(split, 0.3, 0, NO_CACHE.digest)
    assert (len(train.paths), len(val.paths)) == (8, 4)
    assert not {NO_CACHE.digest(p) for p in train.paths} & {NO_CACHE.digest(p) for p in val.paths}


def test_a_class_of_one_picture_cannot_be_parted(root):
    for path in sorted((root / "Train" / "Basophil").iterdir())[1:]:
        path.unlink()
    with pytest.raises(DataError, match="one image of Basophil"):
        load(root)


def test_a_class_without_pictures_fails_the_run(root):
    shutil.rmtree(root / "Train" / "Neutrophil")
    with pytest.raises(DataError, match="each class needs some"):
        load(root)


def test_unreadable_files_are_left_out_and_listed(tmp_path):
    write_dataset(tmp_path, {"Train": 40})
    broken = tmp_path / "Train" / "Monocyte" / "000.png"
    broken.write_bytes(broken.read_bytes()[:200])
    data = load(tmp_path)
    assert [bad.path for bad in data.unreadable] == [broken]
    assert "damaged" in data.unreadable[0].reason
    assert len(data.train.paths) + len(data.val.paths) == 199


def test_more_than_one_percent_of_unreadable_files_fail_the_run(root):
    (root / "Train" / "Monocyte" / "000.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 20 files cannot be read; at most 1%.*000.png"):
        load(root)


def test_readable_keeps_order_and_labels(root):
    broken = root / "Train" / "Eosinophil" / "001.png"
    broken.write_bytes(b"")
    split, bad = readable(read_split(root, "Train"), NO_CACHE, 2)
    assert len(bad) == 1
    assert split.counts.tolist() == [4, 3, 4, 4, 4]
    assert [CLASSES[label] for label in split.labels] == [path.parent.name for path in split.paths]


def test_check_finds_what_spoils_a_measurement(root):
    shutil.copytree(root / "Train", root / "TestA")
    same = root / "TestA" / "Basophil"
    (root / "TestA" / "Monocyte" / "again.png").write_bytes((same / "000.png").read_bytes())
    (same / "001.png").write_bytes(b"damaged")
    (same / "Thumbs.db").write_bytes(b"")
    findings = check([read_split(root, name) for name in ("Train", "TestA")], NO_CACHE, 2)
    assert findings.files == 41
    assert len(findings.unreadable) == 1
    assert sum(d.straddles for d in findings.duplicates) == 19
    assert [d.labels for d in findings.duplicates if d.conflicts] == [(0, 3)]
    assert [path.name for path in findings.ignored] == ["Thumbs.db"]
    assert not findings.sound


def test_check_of_a_sound_data_set(root):
    twin = root / "Train" / "Basophil"
    (twin / "twin.png").write_bytes((twin / "000.png").read_bytes())
    findings = check([read_split(root, "Train")], NO_CACHE, 2)
    assert len(findings.duplicates) == 1  # of one split and class: it spoils nothing
    assert findings.sound
