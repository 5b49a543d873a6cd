"""Checks of a data set before training: unreadable files and duplicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wbc.data.cache import ImageCache
from wbc.data.dataset import Split, Unreadable, readable
from wbc.images import SUFFIXES


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Files with the same bytes.

    Attributes:
        paths: the files.
        splits: their splits, each once.
        labels: their classes, each once; more than one is a conflict.
    """

    paths: tuple[Path, ...]
    splits: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def straddles(self) -> bool:
        """True if the files are in more than one split."""
        return len(self.splits) > 1

    @property
    def conflicts(self) -> bool:
        """True if the files are in more than one class."""
        return len(self.labels) > 1

    def __str__(self) -> str:
        return " = ".join(map(str, self.paths))


@dataclass(frozen=True, slots=True)
class Findings:
    """Result of a check.

    Attributes:
        files: number of checked files.
        unreadable: files named like images that cannot be decoded.
        duplicates: groups of files with the same bytes.
        ignored: files in the class folders that are not named like images.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    duplicates: tuple[Duplicate, ...]
    ignored: tuple[Path, ...]

    @property
    def sound(self) -> bool:
        """True if all files can be read and no duplicates are in two splits or classes."""
        return not self.unreadable and not any(d.straddles or d.conflicts for d in self.duplicates)


def check(splits: Sequence[Split], cache: ImageCache, workers: int) -> Findings:
    """Decode every file of the splits and find files with the same bytes."""
    unreadable: list[Unreadable] = []
    same: dict[str, list[tuple[Path, str, int]]] = defaultdict(list)
    for split in splits:
        unreadable += readable(split, cache, workers)[1]
        for path, label in zip(split.paths, split.labels, strict=True):
            same[cache.digest(path)].append((path, split.name, int(label)))
    duplicates = tuple(
        Duplicate(
            tuple(path for path, _, _ in group),
            tuple(dict.fromkeys(name for _, name, _ in group)),
            tuple(sorted({label for _, _, label in group})),
        )
        for group in same.values()
        if len(group) > 1
    )
    folders = sorted({path.parent for split in splits for path in split.paths})
    ignored = tuple(
        p for folder in folders for p in sorted(folder.iterdir()) if p.is_file() and p.suffix.lower() not in SUFFIXES
    )
    return Findings(sum(len(split.paths) for split in splits), tuple(unreadable), duplicates, ignored)
