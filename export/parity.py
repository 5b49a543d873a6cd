"""Parity gate: a bundle is written only if its ONNX graph computes the same as the Keras model."""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from wbc.analyzer import Classifier
from wbc.errors import ParityError
from wbc.saliency.gradcam import GradCam

LOGIT_TOLERANCE = 1e-4
"""Maximum difference of a logit."""

CAM_TOLERANCE = 1e-4
"""Maximum difference of a class activation map, scaled to a maximum of 1."""

BATCH_SIZE = 16


def check_parity(model: keras.Model, classifier: Classifier, images: NDArray[np.uint8]) -> dict[str, float]:
    """Compare a graph with its Keras model on prepared images, uint8 (N, S, S, 3).

    The logits are compared with `model.predict`, the maps of every class with automatic differentiation of the logits.

    Returns:
        The number of images and the largest differences: `images`, `logits`, `cam`.

    Raises:
        ParityError: there is no image, or a difference exceeds its tolerance or is not a number.
    """
    if len(images) == 0:
        raise ParityError("received no images to compare on; at least one is needed")
    gradcam = GradCam(model)
    logits = maps = 0.0
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE]
        outputs = classifier(batch)
        expected = model.predict(batch, batch_size=BATCH_SIZE, verbose=0)["main_out"]
        # np.maximum propagates NaN, max does not.
        logits = float(np.maximum(logits, np.abs(outputs.logits - expected).max()))
        difference = scale_to_maximum(outputs.cam) - scale_to_maximum(gradcam.maps(batch))
        maps = float(np.maximum(maps, np.abs(difference).max()))
    # The negated comparisons also reject NaN.
    if not (logits <= LOGIT_TOLERANCE and maps <= CAM_TOLERANCE):
        raise ParityError(
            f"graph and model differ by {logits:.2e} in the logits (at most {LOGIT_TOLERANCE:g} is accepted) "
            f"and {maps:.2e} in the maps (at most {CAM_TOLERANCE:g}) over {len(images)} images"
        )
    return {"images": float(len(images)), "logits": logits, "cam": maps}


def scale_to_maximum(maps: NDArray[np.floating]) -> NDArray[np.floating]:
    """Divide each map (N, C, h, w) by its maximum; a map of zeros stays zero."""
    peak = maps.max(axis=(2, 3), keepdims=True)
    return np.asarray(np.divide(maps, peak, out=np.zeros_like(maps), where=peak != 0))
