"""Decoded and prepared pictures on disk, keyed by what they were computed from."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.images import decode
from wbc.preprocessing.pipeline import Preprocessor, probe

log = logging.getLogger("wbc.training")

Rgb = NDArray[np.uint8]


def resized(image: Rgb, size: int) -> Rgb:
    """A prepared square image at another side; training may run smaller than serving."""
    if image.shape[0] == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


class ImageCache:
    """Pictures by the SHA-256 of their file, prepared ones also by their preprocessing; safe to share between threads.

    The key of a prepared picture holds the preprocessing's fingerprint, the side, OpenCV's version and
    `wbc.preprocessing.pipeline.probe`: a filter that computes something else after a change of its code is another key.
    A picture takes three bytes a pixel on disk. Nothing is ever removed: the folder can be deleted at any time.

    Args:
        folder: where; None decodes and prepares afresh each time.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._digests: dict[Path, str] = {}
        self._keys: dict[tuple[str, int], str] = {}

    def digest(self, path: Path) -> str:
        """SHA-256 of a file's bytes, hexadecimal; read once."""
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[path]

    def decoded(self, path: Path) -> Rgb:
        """The picture in a file, RGB uint8 (H, W, 3).

        Raises:
            InputError: it cannot be decoded.
        """
        return self._kept("decoded", path, lambda: decode(path.read_bytes()))

    def prepared(self, path: Path, preprocessor: Preprocessor, size: int) -> Rgb:
        """What the network sees of a file without augmentation, uint8 (size, size, 3)."""
        key = self._key(preprocessor, size)
        return self._kept(key, path, lambda: resized(preprocessor(self.decoded(path)).model_input, size))

    def surroundings(self, path: Path, preprocessor: Preprocessor, zoom: float, size: int) -> Rgb:
        """A window `zoom` times as wide as the network's, on balanced colours, uint8 (size, size, 3)."""
        key = f"{self._key(preprocessor, size)}-{zoom:g}"
        return self._kept(key, path, lambda: preprocessor.surroundings(self.decoded(path), zoom, size))

    def _key(self, preprocessor: Preprocessor, size: int) -> str:
        key = (preprocessor.spec.fingerprint, size)
        if key not in self._keys:
            parts = (*key, cv2.__version__, probe(preprocessor))
            self._keys[key] = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        return self._keys[key]

    def _kept(self, kind: str, path: Path, make: Callable[[], Rgb]) -> Rgb:
        if self.folder is None:
            return make()
        digest = self.digest(path)
        file = self.folder / kind / digest[:2] / f"{digest}.npy"
        if file.is_file():
            try:
                return np.asarray(np.load(file, allow_pickle=False), np.uint8)
            except (ValueError, EOFError) as error:
                log.warning("%s is damaged (%s) and is written anew", file, error)
        image = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f"{digest}.{os.getpid()}-{threading.get_ident()}.new")
        with new.open("wb") as out:
            np.save(out, image)
        new.replace(file)  # whole or not at all, whoever else writes it
        return image
