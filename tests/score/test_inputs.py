"""Files of an input and their names in the result."""

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
    (tmp_path / "binary.dat").write_bytes(bytes(range(256)))
    (tmp_path / "table.csv").write_text("path,label\na.jpg,Monocyte\n")
    return tmp_path


def names(given: str) -> list[str]:
    return [source.name for source in find_sources(given)[0]]


def test_folder_at_any_depth(tree: Path) -> None:
    sources, others = find_sources(str(tree))
    assert others == 3
    assert [source.name for source in sources] == ["a.jpg", "b.PNG", "deep/er/c.tif"]
    assert [source.path for source in sources] == [tree / source.name for source in sources]


def test_glob_is_named_from_its_first_wildcard(tree: Path) -> None:
    assert names(f"{tree}/deep/**/*") == ["er/c.tif"]
    assert names(f"{tree}/*.*") == ["a.jpg", "b.PNG"]


def test_file_of_paths_keeps_the_names_as_written_and_takes_each_once(tree: Path) -> None:
    (tree / "list").write_text("deep/er/c.tif\n\na.jpg\na.jpg\nmissing.png\n")
    sources, _ = find_sources(str(tree / "list"))
    assert [source.name for source in sources] == ["a.jpg", "deep/er/c.tif", "missing.png"]
    assert sources[1].path == tree / "deep/er/c.tif"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_written_on_windows(tree: Path, encoding: str) -> None:
    (tree / "list.txt").write_bytes("a.jpg\r\nb.PNG\r\n".encode(encoding))
    assert names(str(tree / "list.txt")) == ["a.jpg", "b.PNG"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere", "is not a folder"),
        ("deep/n*", "no image in"),
        ("deep/notes.txt", "no image in"),
        ("binary.dat", "not a UTF-8 text file"),
        ("table.csv", "none of the 2 paths"),
        ("a.jpg", "is not a folder"),
    ],
)
def test_nothing_to_score(tree: Path, given: str, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        find_sources(str(tree / given))
