"""Selection of evenly spaced items."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def evenly_spaced(length: int, count: int) -> NDArray[np.int64]:
    """Return `count` increasing positions in a sequence, the first and the last included; all if it has fewer items."""
    return np.linspace(0, length - 1, min(count, length)).astype(np.int64)
