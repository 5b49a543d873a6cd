"""Size of the cell as evidence: monocytes are larger than lymphocytes on every microscope, measured in red cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from wbc.labels import CLASSES, index_of

MIDDLE = float(np.log(1.8))
"""Logarithm of the diameter, in red cells, between lymphocytes (median 1.6) and monocytes (2.1)."""

LARGEST = 0.5
"""Largest distance from the middle, in the logarithm, that counts: beyond it the measurement is in doubt."""

DIRECTION = np.zeros(len(CLASSES))
DIRECTION[[index_of("Lymphocyte"), index_of("Monocyte")]] = -1.0, 1.0


class CellSize(BaseModel):
    """Shift of the logits of lymphocytes and monocytes by the cell's diameter; fitted on sources left out.

    Attributes:
        slope: shift, in logits, for each unit of the logarithm of the diameter in red cells.
        offset: shift at 1.8 red cells.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slope: float = Field(ge=0)
    offset: float

    def shift(self, diameter: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the shift of the logits, (..., 5), for diameters (...) in red cells; zeros where it is NaN."""
        return (self.slope * self.log_diameter(diameter) + self.offset * ~np.isnan(diameter))[..., None] * DIRECTION

    @staticmethod
    def log_diameter(diameter: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Return the logarithm of diameters in red cells, against the middle and bounded; 0 where it is NaN."""
        return np.asarray(np.clip(np.nan_to_num(np.log(diameter) - MIDDLE), -LARGEST, LARGEST))
