"""Baseline for the load test: a Keras model behind a synchronous server, as a first version is often written.

Requests are processed one at a time: `model.predict` on a single image, then a new gradient model under a
`GradientTape` for the heatmap. Preprocessing and overlay are the product's, so that only the network and the server
differ.

    python -m benchmarks.naive BUNDLE PORT
"""

from __future__ import annotations

import base64
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from wbc.adaptation.calibration import probabilities
from wbc.bundle import Bundle
from wbc.images import decode, encode_png
from wbc.labels import CLASSES
from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
from wbc.preprocessing.pipeline import Preprocessor
from wbc.saliency.overlay import heatmap, overlay


class NaiveClassifier:
    """The bundle's Keras model, run on one image at a time."""

    def __init__(self, bundle: Bundle) -> None:
        self.manifest = bundle.manifest
        self.preprocessor = Preprocessor(bundle.manifest.preprocessing)
        self.model = keras.saving.load_model(bundle.keras_path, compile=False)

    def __call__(self, data: bytes) -> dict[str, Any]:
        """Classify one image file and draw its overlay.

        Raises:
            InputError: see `images.decode`.
        """
        prepared = self.preprocessor(decode(data))
        batch = prepared.model_input[None]
        scores = probabilities(self.model.predict(batch, verbose=0)["main_out"][0], self.manifest.temperature)
        best = int(np.argmax(scores))
        cam = self._gradcam(batch, best)
        picture = overlay(prepared.display, heatmap(cam, prepared.display.shape[0]), prepared.foreground)
        return {
            "class": CLASSES[best],
            "confidence": float(scores[best]),
            "all_probabilities": dict(zip(CLASSES, map(float, scores), strict=True)),
            "gradcam_image": base64.b64encode(encode_png(picture)).decode("ascii"),
        }

    def _gradcam(self, batch: np.ndarray, index: int) -> np.ndarray:
        layer = self.model.get_layer(self.manifest.gradcam_layer)
        gradient_model = keras.Model(self.model.inputs, [layer.output, self.model.output["main_out"]])
        with tf.GradientTape() as tape:
            features, logits = gradient_model(tf.constant(batch), training=False)
            score = logits[:, index]
        weights = tf.reduce_mean(tape.gradient(score, features), axis=(1, 2), keepdims=True)
        return np.asarray(tf.nn.relu(tf.reduce_sum(weights * features, axis=-1))[0])


def make_app(classifier: NaiveClassifier) -> Starlette:
    """Serve `POST /predict` with the multipart field `file`; `GET /` returns 200 for the readiness check."""

    async def predict(request: Request) -> JSONResponse:
        async with request.form() as form:
            file = form["file"]
            assert isinstance(file, UploadFile)
            data = await file.read()
        return JSONResponse(classifier(data))  # blocks the event loop: one request at a time

    async def ready(_: Request) -> JSONResponse:
        return JSONResponse({})

    return Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/", ready)])


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    uvicorn.run(make_app(NaiveClassifier(Bundle.load(Path(folder)))), port=int(port), log_level="warning")
