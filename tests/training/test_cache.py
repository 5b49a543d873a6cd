"""The cache: contents and keys; it does not change an image."""

from __future__ import annotations

import numpy as np
import pytest

from wbc.data.cache import ImageCache, resized
from wbc.errors import MalformedImage
from wbc.images import decode, encode_png
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor


@pytest.fixture
def picture(tmp_path, cell):
    path = tmp_path / "cell.png"
    path.write_bytes(encode_png(cell))
    return path


def test_a_kept_picture_is_the_picture(tmp_path, picture, cell):
    cache = ImageCache(tmp_path / "cache")
    assert (cache.decoded(picture) == cell).all()
    assert (cache.decoded(picture) == cell).all()
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 1


def test_a_kept_picture_is_not_decoded_again(tmp_path, picture, cell):
    ImageCache(tmp_path / "cache").decoded(picture)
    (file,) = (tmp_path / "cache").rglob("*.npy")
    np.save(file, 255 - cell)
    assert (ImageCache(tmp_path / "cache").decoded(picture) == 255 - cell).all()


def test_the_key_is_the_content(tmp_path, picture, cell):
    first = ImageCache(tmp_path / "cache").decoded(picture)
    picture.write_bytes(encode_png(255 - cell))
    assert (ImageCache(tmp_path / "cache").decoded(picture) == 255 - first).all()


def test_the_key_of_a_prepared_picture_holds_its_preprocessing(tmp_path, picture):
    cache = ImageCache(tmp_path / "cache")
    for spec in (Preprocessing(framing=Framing(mode="off")), Preprocessing(framing=Framing(mode="off"), variant="v2")):
        preprocessor = Preprocessor(spec)
        for size in (32, 48):
            expected = resized(preprocessor(decode(picture.read_bytes())).model_input, size)
            for _ in range(2):
                assert (cache.prepared(picture, preprocessor, size) == expected).all()
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == 5  # decoded, and two preparations at two sizes


def test_a_damaged_file_of_the_cache_is_written_anew(tmp_path, picture, cell):
    ImageCache(tmp_path / "cache").decoded(picture)
    (file,) = (tmp_path / "cache").rglob("*.npy")
    file.write_bytes(file.read_bytes()[:60])
    assert (ImageCache(tmp_path / "cache").decoded(picture) == cell).all()
    assert (np.load(file) == cell).all()


def test_a_picture_that_cannot_be_decoded_leaves_nothing(tmp_path, picture):
    picture.write_bytes(picture.read_bytes()[:300])
    with pytest.raises(MalformedImage):
        ImageCache(tmp_path / "cache").decoded(picture)
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_without_a_folder_nothing_is_kept(tmp_path, picture, cell):
    assert (ImageCache(None).decoded(picture) == cell).all()
    assert [path.name for path in tmp_path.iterdir()] == ["cell.png"]
