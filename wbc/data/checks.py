"""What is wrong with a data set before anything is learnt from it: unreadable files and duplicates."""

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
        splits: the splits they lie in, each once.
        labels: the classes they lie in, each once; more than one is a conflict.
    """

    paths: tuple[Path, ...]
    splits: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def straddles(self) -> bool:
        """Whether what is learnt from one split is asked for in another."""
        return len(self.splits) > 1

    @property
    def conflicts(self) -> bool:
        """Whether one picture has two classes."""
        return len(self.labels) > 1


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check of the files found.

    Attributes:
        files: how many were looked at.
        unreadable: named like images, and not to be decoded.
        duplicates: groups of files with the same bytes.
        ignored: files of the class folders that are not named like images.
    """

    files: int
    unreadable: tuple[Unreadable, ...]
    duplicates: tuple[Duplicate, ...]
    ignored: tuple[Path, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing that spoils a measurement was found: a duplicate within one split and class does not."""
        return not self.unreadable and not any(d.straddles or d.conflicts for d in self.duplicates)


def check(splits: Sequence[Split], cache: ImageCache, workers: int) -> Findings:
    """Decode every file of the splits and compare their bytes."""
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
