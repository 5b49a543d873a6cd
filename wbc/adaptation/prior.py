"""Prior correction: probabilities for a batch whose class shares differ from those of the calibration images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter


def reweigh(
    probabilities: NDArray[np.floating], source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the posteriors under another prior, `p(c|x) * target_c / source_c`, normalised to rows of sum 1.

    Args:
        probabilities: (N, C) calibrated under the prior `source`.
        source: (C,) class shares of the calibration images.
        target: (C,) class shares of this batch.
    """
    weighted = np.asarray(probabilities, np.float64) * (np.asarray(target) / np.asarray(source))
    return np.asarray(weighted / np.maximum(weighted.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny))


def estimate_prior(
    probabilities: NDArray[np.floating],
    source: NDArray[np.floating],
    *,
    iterations: int = 1000,
    tolerance: float = 1e-7,
) -> NDArray[np.float64]:
    """Estimate the class shares of a batch by maximum likelihood with EM (Saerens, Latinne and Decaestecker 2002).

    It needs no labels. It assumes that images of a class are alike in both sets, so that only the class shares differ.
    On another device the assumption fails, and the estimate only reinforces the predictions.

    Args:
        probabilities: (N, C) calibrated under the prior `source`.
        source: (C,) class shares, each above 0.
        iterations: largest number of iterations.
        tolerance: stop when no share changes by more than this.

    Returns:
        float64 (C,), sum 1.

    Raises:
        InvalidParameter: there is no image, or a share in `source` is not above 0.
    """
    posterior = np.asarray(probabilities, np.float64)
    before = np.asarray(source, np.float64) / np.sum(source)
    if len(posterior) == 0:
        raise InvalidParameter("no image to estimate a prior from; at least one is needed")
    if (before <= 0).any():
        raise InvalidParameter(f"source prior {before.round(4).tolist()}; each class needs a share above 0")
    share: NDArray[np.float64] = before.copy()
    for _ in range(iterations):
        new = reweigh(posterior, before, share).mean(axis=0)
        if np.abs(new - share).max() < tolerance:
            return np.asarray(new, np.float64)
        share = new
    return share
