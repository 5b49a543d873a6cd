"""Which files an input names, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from wbc.errors import InvalidParameter
from wbc.score.inputs import find_sources


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.PNG", "a.jpg", "deep/er/c.tif", "deep/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def names(given: str) -> list[str]:
    return [source.name for source in find_sources(given)]


def test_folder_at_any_depth(tree: Path) -> None:
    sources = find_sources(str(tree))
    assert [source.name for source in sources] == ["a.jpg", "b.PNG", "deep/er/c.tif"]
    assert [source.path for source in sources] == [tree / source.name for source in sources]


def test_glob_is_named_from_its_first_wildcard(tree: Path) -> None:
    assert names(f"{tree}/deep/**/*") == ["er/c.tif"]
    assert names(f"{tree}/*.*") == ["a.jpg", "b.PNG"]


def test_file_of_paths_keeps_the_names_as_written_and_takes_each_once(tree: Path) -> None:
    (tree / "list").write_text("deep/er/c.tif\n\na.jpg\na.jpg\nmissing.png\n")
    sources = find_sources(str(tree / "list"))
    assert [source.name for source in sources] == ["a.jpg", "deep/er/c.tif", "missing.png"]
    assert sources[1].path == tree / "deep/er/c.tif"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere", "is no folder"),
        ("deep/n*", "no image in"),
        ("deep/notes.txt", "no image in"),
        ("a.jpg", "is no folder"),
    ],
)
def test_nothing_to_score(tree: Path, given: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        find_sources(str(tree / given))
