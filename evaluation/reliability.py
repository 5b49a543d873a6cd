"""Calibration of the predictions of an evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation.calibration import Bins, bin_by_confidence


def bin_rows(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Bins:
    """Group predictions with probabilities (N, C) and true class indices (N,); see `bin_by_confidence`."""
    return bin_by_confidence(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)


def undo_temperature(probabilities: NDArray[np.floating], temperature: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the probabilities (N, C) before the logits of each row were divided by its temperature (N,)."""
    powered = np.asarray(probabilities, np.float64) ** np.asarray(temperature)[:, None]
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))
