"""Prior correction: answers for a batch whose mixture of classes is not that of the training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wbc.errors import InvalidParameter


def reweigh(
    probabilities: NDArray[np.floating], source: NDArray[np.floating], target: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Posteriors under another prior: `p(c|x) * target_c / source_c`, each row scaled to a sum of 1.

    Args:
        probabilities: (N, C) calibrated under the prior `source`.
        source: (C,) shares of the classes where the probabilities were calibrated.
        target: (C,) shares of the classes in this batch.
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
    """The batch's class shares of greatest likelihood (Saerens, Latinne and Decaestecker 2002), by EM.

    It asks for no label, and it assumes that images of a class look alike on both devices: that only the mixture
    differs. Where the device differs as well it can only sharpen what the model already believes.

    Args:
        probabilities: (N, C) calibrated under the prior `source`.
        source: (C,) shares of the classes, each above 0.
        iterations: at most so many.
        tolerance: of the largest change of a share, at which it ends.

    Returns:
        float64 (C,), sum 1.

    Raises:
        InvalidParameter: no image, or a class without a share in `source`.
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
