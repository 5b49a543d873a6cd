"""Which files are to be scored, and the name that each has in the result."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from wbc.errors import InvalidParameter
from wbc.images import SUFFIXES


@dataclass(frozen=True, slots=True)
class Source:
    """One file to score.

    Attributes:
        name: its path relative to the input, with forward slashes: the key of its row.
        path: where it lies.
    """

    name: str
    path: Path


def find_sources(given: str) -> list[Source]:
    """The files that an input names, sorted by name, each once.

    Args:
        given: a folder, whose image files at any depth are meant and named relative to it; or a text file with a path a
            line, relative to that file's folder and named as written; or a glob (`**` is any depth), whose matches are
            named relative to its part before the first wildcard.

    Raises:
        InvalidParameter: there is no such thing, or no image in it.
    """
    path = Path(given)
    if path.is_dir():
        found = {p.relative_to(path).as_posix(): p for p in path.rglob("*") if _is_image(p)}
    elif path.is_file() and not _is_image(path):
        lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
        found = {line: path.parent / line for line in lines if line}
    elif glob.has_magic(given):
        root, pattern = _parted(path)
        found = {p.relative_to(root).as_posix(): p for p in root.glob(pattern) if _is_image(p)}
    else:
        raise InvalidParameter(f"{given} is no folder, no file of paths and no glob")
    if not found:
        raise InvalidParameter(f"no image in {given}; expected {', '.join(sorted(SUFFIXES))}")
    return [Source(name, found[name]) for name in sorted(found)]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def _parted(path: Path) -> tuple[Path, str]:
    """The folder before the first wildcard, and the pattern below it."""
    first = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:first]), str(Path(*path.parts[first:]))
