"""Files to score and their names in the result."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path

from wbc.errors import InvalidParameter
from wbc.files import is_image_name, list_images, printable, read_list
from wbc.images import SUFFIXES


@dataclass(frozen=True, slots=True)
class Source:
    """One file to score.

    Attributes:
        name: path relative to the input, with forward slashes: the key of its row.
        path: location of the file.
    """

    name: str
    path: Path


def find_sources(given: str) -> tuple[list[Source], int]:
    """Find the files of an input.

    Args:
        given: a folder, searched at any depth, its files named relative to it; or a text file with one path per line,
            relative to its folder and named as written; or a glob pattern (`**` is any depth), its matches named
            relative to the part before the first wildcard.

    Returns:
        The files, sorted by name, each once, and the number of files that are not named like an image.

    Raises:
        InvalidParameter: no such input, or no image in it.
    """
    path, others = Path(given), 0
    if path.is_dir():
        images, others = list_images(path)
        found = {_relative(image, path): image for image in images}
    elif path.is_file() and not is_image_name(path):
        found = {line: path.parent / line for line in read_list(path)}
        if found and not any(image.is_file() for image in found.values()):
            raise InvalidParameter(
                f"none of the {len(found)} paths in {printable(path)} exists; expected one path per line, relative to "
                "the folder of the list"
            )
    elif glob.has_magic(given):
        root, pattern = _split_pattern(path)
        matches = [match for match in root.glob(pattern) if match.is_file()]
        found = {_relative(match, root): match for match in matches if is_image_name(match)}
        others = len(matches) - len(found)
    else:
        raise InvalidParameter(f"{printable(given)} is not a folder, a file of paths or a glob pattern")
    if not found:
        raise InvalidParameter(f"no image in {printable(given)}; expected {', '.join(sorted(SUFFIXES))}")
    return [Source(name, found[name]) for name in sorted(found)], others


def _relative(path: Path, root: Path) -> str:
    return printable(path.relative_to(root).as_posix())


def _split_pattern(path: Path) -> tuple[Path, str]:
    """Return the folder before the first wildcard and the pattern below it."""
    first = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
    return Path(*path.parts[:first]), str(Path(*path.parts[first:]))
