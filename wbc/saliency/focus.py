"""Foreground focus: the share of a class activation map that lies on the cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wbc.preprocessing.foreground import Foreground


@dataclass(frozen=True, slots=True)
class Focus:
    """Foreground focus of a map; all None if the mask of the cell is not valid or the map is zero.

    Attributes:
        ratio: rho, the share of the map's energy on the cell, 0 to 1.
        coverage: the share of the image that the cell covers, which is the ratio of a uniform map.
        lift: (rho - coverage) / (1 - coverage): 0 for a uniform map, 1 for a map entirely on the cell, negative off it.
    """

    ratio: float | None
    coverage: float | None
    lift: float | None

    @property
    def valid(self) -> bool:
        return self.ratio is not None


def focus(heatmap: NDArray[np.floating], foreground: Foreground) -> Focus:
    """Compute the focus of an unmasked map, (S, S) and not negative, with the mask of the cell in the same image."""
    energy = float(heatmap.sum())
    coverage = foreground.coverage
    if not foreground.valid or energy <= 0.0 or not 0.0 < coverage < 1.0:
        return Focus(None, None, None)
    ratio = float(heatmap[foreground.cell].sum()) / energy
    return Focus(ratio, coverage, (ratio - coverage) / (1.0 - coverage))
