"""Image folders in the layout of Raabin-WBC: one folder per split, with one folder per class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wbc.cpu import cpu_quota
from wbc.data.cache import ImageCache
from wbc.data.sampling import evenly_spaced
from wbc.errors import DataError, InputError
from wbc.files import is_image_name
from wbc.labels import CLASSES, index_of
from wbc.preprocessing.pipeline import Preprocessor

VAL = "Val"
"""Name of the validation split's folder, in any letter case."""

MAX_UNREADABLE = 0.01
"""Share of unreadable files above which a run fails: more suggest that the whole copy is damaged."""


@dataclass(frozen=True, slots=True)
class Split:
    """Files of one split, in a fixed order, and their class indices."""

    name: str
    paths: tuple[Path, ...]
    labels: NDArray[np.int64]
    sources: NDArray[np.int64] | None = None

    @property
    def source(self) -> NDArray[np.int64]:
        """Index of each image's source, (N,); a source is one device. All 0 for a split of one source."""
        return np.zeros(len(self.paths), np.int64) if self.sources is None else self.sources

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of images per class, (5,)."""
        return np.bincount(self.labels, minlength=len(CLASSES))

    def only(self, chosen: NDArray[np.bool_] | NDArray[np.int64], name: str | None = None) -> Split:
        """Return the chosen images, by mask or position."""
        numbers = np.arange(len(self.paths))[chosen]
        sources = None if self.sources is None else self.sources[numbers]
        return Split(name or self.name, tuple(self.paths[i] for i in numbers), self.labels[numbers], sources)

    @classmethod
    def joined(cls, parts: Sequence[Split]) -> Split:
        """Concatenate the splits of several sources."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            " + ".join(part.name for part in parts),
            tuple(path for part in parts for path in part.paths),
            np.concatenate([part.labels for part in parts]),
            np.concatenate([np.full(len(part.paths), number) for number, part in enumerate(parts)]),
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that is named like an image and cannot be decoded."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Data of a run.

    Attributes:
        train: training images.
        val: validation images.
        unreadable: files left out of both.
        held_out: true if `val` is a part of the training split, because there is no `Val` folder.
    """

    train: Split
    val: Split
    unreadable: tuple[Unreadable, ...]
    held_out: bool


def cores(workers: int = 0) -> int:
    """Return the number of threads that decode and prepare images: `workers`, or the CPU quota if it is 0."""
    return workers or cpu_quota()


def split_names(root: Path) -> list[str]:
    """Return the names of all folders of a data set, sorted.

    Raises:
        DataError: the data set's folder does not exist.
    """
    if not root.is_dir():
        raise DataError(f"no folder {root}; expected one with a folder for each split")
    return sorted(p.name for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def domains(root: Path) -> list[str]:
    """Return the names of the test domains, the folders that begin with `Test`, sorted."""
    return [name for name in split_names(root) if name.lower().startswith("test")]


def val_folders(root: Path, sources: Sequence[str]) -> list[str]:
    """Return the names of the validation folders of sources: `Val` for `Train`, `Val-chula` for `Train-chula`."""
    wanted = {name.lower().replace("train", VAL.lower(), 1) for name in sources if name.lower().startswith("train")}
    return [name for name in split_names(root) if name.lower() in wanted]


def read_split(root: Path, name: str, limit: int = 0) -> Split:
    """List a split's images.

    Args:
        root: the data set's folder.
        name: the split's folder inside it.
        limit: largest number of images per class, evenly spaced over the sorted names; 0 takes all.

    Raises:
        DataError: the folder does not exist, has a folder of an unknown class, or has no image.
    """
    folder = root / name
    if not folder.is_dir():
        raise DataError(f"no split {name!r} in {root}; its folders are {', '.join(split_names(root)) or 'none'}")
    found: dict[int, list[Path]] = defaultdict(list)
    for child in sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")):
        try:
            index = index_of(child.name)
        except ValueError as error:
            raise DataError(f"{child}: {error}") from error
        found[index] += sorted(p for p in child.iterdir() if is_image_name(p))
    paths: list[Path] = []
    labels: list[int] = []
    for index in sorted(found):
        files = found[index]
        chosen = [files[i] for i in evenly_spaced(len(files), limit or len(files))]
        paths += chosen
        labels += [index] * len(chosen)
    if not paths:
        raise DataError(f"no image in {folder}; expected folders {', '.join(CLASSES)} with image files")
    return Split(name, tuple(paths), np.array(labels))


def readable(split: Split, cache: ImageCache, workers: int) -> tuple[Split, tuple[Unreadable, ...]]:
    """Return the split without the files that cannot be decoded, and these files; fills the cache."""

    def reason_unreadable(path: Path) -> str | None:
        try:
            cache.decoded(path)
        except (InputError, OSError) as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool:
        reasons = list(pool.map(reason_unreadable, split.paths))
    bad = tuple(Unreadable(p, r) for p, r in zip(split.paths, reasons, strict=True) if r is not None)
    return split.only(np.array([r is None for r in reasons])), bad


def hold_out(split: Split, fraction: float, seed: int, digest: Callable[[Path], str]) -> tuple[Split, Split]:
    """Divide a split in two, class by class; files with the same bytes stay together.

    Args:
        split: split to divide.
        fraction: share of each class in the second part, at least one image.
        seed: random seed.
        digest: returns the hash of a file.

    Raises:
        DataError: a class has fewer than two different images.
    """
    rng = np.random.default_rng([seed, 0])
    held = np.zeros(len(split.paths), np.bool_)
    for index in np.unique(split.labels):
        same: dict[str, list[int]] = defaultdict(list)
        for number in np.flatnonzero(split.labels == index):
            same[digest(split.paths[number])].append(int(number))
        groups = list(same.values())
        if len(groups) < 2:
            raise DataError(f"{split.name} has one image of {CLASSES[index]}; a validation split needs a second one")
        wanted = min(max(1, round(fraction * len(groups))), len(groups) - 1)
        for group in rng.permutation(len(groups))[:wanted]:
            held[groups[group]] = True
    return split.only(~held), split.only(held, f"{split.name} (held out)")


def load_data(
    root: Path, sources: Sequence[str], *, val_fraction: float, seed: int, limit: int, cache: ImageCache, workers: int
) -> TrainingData:
    """Read the splits of a run.

    Raises:
        DataError: the folders do not have the expected layout, a class has no training image, or more than
            `MAX_UNREADABLE` of the files cannot be decoded.
    """
    train, bad = readable(Split.joined([read_split(root, name, limit) for name in sources]), cache, workers)
    folders = val_folders(root, sources)
    files = len(train.paths) + len(bad)
    if folders:
        val, bad_val = readable(Split.joined([read_split(root, name, limit) for name in folders]), cache, workers)
        files, bad = files + len(val.paths) + len(bad_val), bad + bad_val
    if len(bad) > MAX_UNREADABLE * files:
        listed = "; ".join(f"{b.path}: {b.reason}" for b in bad[:3])
        raise DataError(
            f"{len(bad)} of {files} files cannot be read; at most {MAX_UNREADABLE:.0%} are left out: {listed}"
        )
    if (train.counts == 0).any():
        raise DataError(
            f"{train.name} has {train.counts.tolist()} images of {', '.join(CLASSES)}; each class needs some"
        )
    if not folders:
        train, val = hold_out(train, val_fraction, seed, cache.digest)
    return TrainingData(train, val, bad, held_out=not folders)


def prepare_all(
    split: Split, preprocessor: Preprocessor, size: int, *, cache: ImageCache | None = None, workers: int = 0
) -> NDArray[np.uint8]:
    """Return every image of a split, prepared without augmentation, uint8 (N, size, size, 3)."""
    store = cache or ImageCache(None)
    with ThreadPoolExecutor(cores(workers)) as pool:
        return np.stack(list(pool.map(lambda path: store.prepared(path, preprocessor, size), split.paths)))
