"""The gate between Keras and ONNX Runtime: past it, no bundle is written."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from wbc.errors import ParityError
from wbc.inference import OnnxClassifier
from wbc.saliency.gradcam import GradCam

LOGIT_TOLERANCE = 1e-4
"""Largest difference of a logit that is accepted."""

CAM_TOLERANCE = 1e-4
"""Largest difference of a class activation map, scaled to a maximum of 1, that is accepted."""


def check_parity(model: keras.Model, classifier: OnnxClassifier, images: NDArray[np.uint8]) -> dict[str, float]:
    """Compare graph and model on prepared images, uint8 (N, S, S, 3).

    Logits against `model.predict`, every class' map against automatic differentiation of the logits.

    Returns:
        The largest differences, and the number of images.

    Raises:
        ParityError: no image, or a difference past its tolerance.
    """
    if len(images) == 0:
        raise ParityError("received no image to compare on; at least one is needed")
    oracle = GradCam(model)
    logits = maps = 0.0
    for start in range(0, len(images), 16):
        batch = images[start : start + 16]
        outputs = classifier(batch)
        expected = model.predict(batch, batch_size=16, verbose=0)["main_out"]
        # np.maximum and not max, which forgets a NaN.
        logits = float(np.maximum(logits, np.abs(outputs.logits - expected).max()))
        maps = float(np.maximum(maps, np.abs(scaled(outputs.cam) - scaled(oracle.maps(batch))).max()))
    found = {"images": float(len(images)), "logits": logits, "cam": maps}
    # Written so that a NaN fails, too.
    if not (logits <= LOGIT_TOLERANCE and maps <= CAM_TOLERANCE):
        raise ParityError(
            f"graph and model differ by {logits:.2e} in the logits (at most {LOGIT_TOLERANCE:g} is accepted) "
            f"and {maps:.2e} in the maps (at most {CAM_TOLERANCE:g}) over {len(images)} images"
        )
    return found


def scaled(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Each map (N, C, h, w) divided by its maximum; a map of zeros stays zero."""
    peak = maps.max(axis=(2, 3), keepdims=True)
    return np.asarray(np.divide(maps, peak, out=np.zeros_like(maps), where=peak != 0))
