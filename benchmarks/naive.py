"""Baseline for the load test: a Keras model behind a synchronous server, as a first version is often written.

Requests are processed one at a time: `model.predict` on a single image, then a new gradient model under a
`GradientTape` for the heatmap. Preprocessing and overlay are the product's, so that only the network and the server
differ.

    python -m benchmarks.naive BUNDLE PORT
"""

from __future__ import annotations

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from python_multipart.multipart import parse_form

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


class NaiveServer(HTTPServer):
    """Server of `POST /predict` with the multipart field `file`; `GET` returns 200 for the readiness check."""

    def __init__(self, port: int, classifier: NaiveClassifier) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.classifier = classifier


class _Handler(BaseHTTPRequestHandler):
    server: NaiveServer

    def do_GET(self) -> None:
        self._respond(200, {})

    def do_POST(self) -> None:
        files: list[bytes] = []

        def on_file(file: Any) -> None:
            file.file_object.seek(0)
            files.append(file.file_object.read())

        headers = {name: str(self.headers[name]).encode() for name in ("Content-Type", "Content-Length")}
        parse_form(headers, self.rfile, on_field=None, on_file=on_file)
        self._respond(200, self.server.classifier(files[0]))

    def _respond(self, status: int, content: dict[str, Any]) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(arguments: list[str]) -> None:
    """Serve a bundle on a port until the process ends."""
    folder, port = arguments
    classifier = NaiveClassifier(Bundle.load(Path(folder)))
    with NaiveServer(int(port), classifier) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
