"""Agreement of both forms of Grad-CAM: the graph's closed form and automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wbc.labels import CLASSES

TOLERANCE = 1e-4
"""Largest accepted difference of two maps with a maximum of 1; half a grey level is 20 times as much."""

Maps = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Network inputs (N, S, S, 3) to unscaled maps of all classes, (N, 5, h, w)."""


def measure_agreement(
    images: NDArray[np.uint8], cam: NDArray[np.float32], oracle: Maps, batch: int = 4
) -> dict[str, Any]:
    """Compare the graph's maps (N, 5, h, w) of network inputs (N, S, S, 3) with the oracle's, scaled to at most 1."""
    expected = np.concatenate([oracle(images[i : i + batch]) for i in range(0, len(images), batch)])
    apart = np.abs(_scale(cam) - _scale(expected)).max(axis=(2, 3))
    empty = ~cam.any(axis=(2, 3)), ~expected.any(axis=(2, 3))
    largest = float(apart.max())
    return {
        "images": len(images),
        "maps": int(apart.size),
        "tolerance": TOLERANCE,
        "largest_difference": largest,
        "largest_difference_by_class": {name: float(apart[:, c].max()) for c, name in enumerate(CLASSES)},
        "empty_in_both": int((empty[0] & empty[1]).sum()),
        "empty_in_one": int((empty[0] ^ empty[1]).sum()),
        # False for NaN.
        "passed": bool(largest <= TOLERANCE),
    }


def _scale(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    peak = maps.max(axis=(2, 3), keepdims=True).astype(np.float64)
    scaled: NDArray[np.float64] = np.divide(maps, peak, out=np.zeros(maps.shape), where=peak > 0)
    return scaled
