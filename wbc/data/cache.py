"""Disk cache of decoded and prepared images, keyed by their inputs."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from wbc.atomic import replaced_atomically
from wbc.images import decode
from wbc.preprocessing.pipeline import Preprocessor, probe

log = logging.getLogger("wbc.training")

Rgb = NDArray[np.uint8]


def resized(image: Rgb, size: int) -> Rgb:
    """Resize a prepared square image to another side; training may use smaller images than serving."""
    if image.shape[0] == size:
        return image
    return np.asarray(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


class ImageCache:
    """Cache of images; safe to share between threads.

    The key is the SHA-256 of the file. For prepared images it also contains the fingerprint of the preprocessing, the
    side, OpenCV's version and `wbc.preprocessing.pipeline.probe`, so that a change in the code of a filter changes the
    key. An image takes three bytes per pixel on disk. Images are never removed; the folder can be deleted at any time.

    Args:
        folder: folder of the cache; None turns it off.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._digests: dict[Path, str] = {}
        self._keys: dict[tuple[str, int], str] = {}

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of a file, hexadecimal; each file is read once."""
        if path not in self._digests:
            self._digests[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._digests[path]

    def decoded(self, path: Path) -> Rgb:
        """Return the image in a file, RGB uint8 (H, W, 3).

        Raises:
            InputError: the file cannot be decoded.
        """
        return self._cached("decoded", path, lambda: decode(path.read_bytes()))

    def prepared(self, path: Path, preprocessor: Preprocessor, size: int) -> Rgb:
        """Return the network's input for a file without augmentation, uint8 (size, size, 3)."""
        key = self._key(preprocessor, size)
        return self._cached(key, path, lambda: resized(preprocessor(self.decoded(path)).model_input, size))

    def surroundings(self, path: Path, preprocessor: Preprocessor, zoom: float, size: int) -> Rgb:
        """Return a white-balanced window `zoom` times as wide as the network's, uint8 (size, size, 3)."""
        key = f"{self._key(preprocessor, size)}-{zoom:g}"
        return self._cached(key, path, lambda: preprocessor.surroundings(self.decoded(path), zoom, size))

    def _key(self, preprocessor: Preprocessor, size: int) -> str:
        key = (preprocessor.spec.fingerprint, size)
        if key not in self._keys:
            parts = (*key, cv2.__version__, probe(preprocessor))
            self._keys[key] = hashlib.sha256(repr(parts).encode()).hexdigest()[:24]
        return self._keys[key]

    def _cached(self, kind: str, path: Path, make: Callable[[], Rgb]) -> Rgb:
        if self.folder is None:
            return make()
        digest = self.digest(path)
        file = self.folder / kind / digest[:2] / f"{digest}.npy"
        if file.is_file():
            try:
                return np.asarray(np.load(file, allow_pickle=False), np.uint8)
            except (ValueError, EOFError) as error:
                log.warning("%s is damaged (%s); writing it again", file, error)
        image = make()
        file.parent.mkdir(parents=True, exist_ok=True)
        with replaced_atomically(file) as new:
            np.save(new, image)
        return image
