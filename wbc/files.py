"""List image files and print their names; the same rules for every command."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from wbc.errors import InvalidParameter
from wbc.images import SUFFIXES


def is_image_name(path: Path) -> bool:
    """Return true if the name has the extension of an accepted format and does not begin with a dot."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def list_images(folder: Path) -> tuple[list[Path], int]:
    """List the image files in a folder and its subfolders.

    Names that begin with a dot are ignored. Linked folders are followed, each folder once, so links may form loops.
    Dangling links and folders that cannot be read are listed too: reading them raises `OSError`.

    Returns:
        The files, sorted, and the number of files that are not named like an image.
    """
    images, others, seen = list[Path](), 0, set[tuple[int, int]]()
    folders, links = deque([folder]), deque[Path]()
    while folders or links:  # links last, so that a folder keeps its own name where it is also linked
        current = folders.popleft() if folders else links.popleft()
        try:
            status = current.stat()
            identity = (status.st_dev, status.st_ino)
            if identity in seen:
                continue
            seen.add(identity)
            entries = list(os.scandir(current))
        except OSError:
            images.append(current)
            continue
        for entry in entries:
            path = current / entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(path)
            elif is_image_name(path) and (entry.is_file() or not path.exists()):
                images.append(path)
            else:
                others += 1
    return sorted(images), others


def read_list(file: Path) -> list[str]:
    """Read the lines of a text file of paths, UTF-8 (with or without a byte order mark) or UTF-16 with one.

    Raises:
        InvalidParameter: another encoding, or a binary file.
    """
    data = file.read_bytes()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise InvalidParameter(f"{printable(file)} is not a UTF-8 text file of paths; expected one path per line")
    return list(filter(None, map(str.strip, text.splitlines())))


def printable(path: Path | str) -> str:
    """Return a path as text that can be encoded: bytes that are not UTF-8 are written as `\\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
