"""Files to rows of the result, on the served path."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.errors import InputError, ModelError
from wbc.inference import OnnxClassifier, Outputs
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Prepared
from wbc.score.inputs import Source
from wbc.settings import Device, Graph

Row = dict[str, Any]

UNREADABLE = "unreadable_file"
"""Error code of a file that the operating system does not give."""


@dataclass(frozen=True, slots=True)
class ScorerConfig:
    """How images are answered.

    Attributes:
        bundle: a loaded bundle.
        graph: precision of its graph.
        device: what the graph runs on.
        threads: of a forward pass; 0 takes the CPU quota.
        batch_size: views in one forward pass at most.
    """

    bundle: Bundle
    graph: Graph = "fp32"
    device: Device = "cpu"
    threads: int = 0
    batch_size: int = 32


@dataclass(frozen=True, slots=True)
class Ready:
    """A file that was decoded and prepared."""

    name: str
    sha256: str
    prepared: Prepared


class Scorer:
    """Answers files with one session.

    Raises:
        BundleError: see `OnnxClassifier.of`.
    """

    def __init__(self, config: ScorerConfig) -> None:
        self._config = config
        self._pipeline = Pipeline(config.bundle)
        self._classifier = OnnxClassifier.of(
            config.bundle, threads=config.threads, device=config.device, graph=config.graph
        )
        manifest = config.bundle.manifest
        self._model: Row = {
            "model_version": f"{manifest.name} {manifest.version}",
            "bundle_sha256": config.bundle.sha256,
            "graph": config.graph,
        }

    def prepare(self, source: Source) -> Ready | Row:
        """Read, decode and prepare a file; its error row where that fails. Safe across threads."""
        try:
            data = source.path.read_bytes()
        except OSError as error:
            # Without the path: the row names the file as the input does.
            return self._error(source.name, None, UNREADABLE, error.strerror or type(error).__name__)
        digest = hashlib.sha256(data).hexdigest()
        try:
            prepared, _ = self._pipeline.prepare(data)
        except InputError as error:
            return self._error(source.name, digest, error.code, str(error))
        return Ready(source.name, digest, prepared)

    def answer(self, images: Sequence[Ready]) -> list[Row]:
        """A row an image, in order; images that the graph fails on together are tried again one by one."""
        try:
            outputs = self._forward([image.prepared for image in images])
        except ModelError as error:
            if len(images) == 1:
                return [self._error(images[0].name, images[0].sha256, error.code, str(error))]
            return [row for image in images for row in self.answer([image])]
        return [self._row(image, out) for image, out in zip(images, outputs, strict=True)]

    def _forward(self, images: Sequence[Prepared]) -> list[Outputs]:
        """The outputs for all views of each image; views of different images share a batch."""
        found = self._split([self._pipeline.views(image) for image in images])
        further = [self._pipeline.further_views(image, out) for image, out in zip(images, found, strict=True)]
        again = [number for number, views in enumerate(further) if views is not None]
        for number, more in zip(again, self._split([v for v in further if v is not None]), strict=True):
            found[number] = Outputs.joined(found[number], more)
        return found

    def _split(self, views: Sequence[np.ndarray]) -> list[Outputs]:
        if not views:
            return []
        stacked, size = np.concatenate(views), self._config.batch_size
        outputs = Outputs.joined(*(self._classifier(stacked[i : i + size]) for i in range(0, len(stacked), size)))
        ends = np.cumsum([len(one) for one in views]).tolist()
        return [outputs.rows(slice(end - len(one), end)) for one, end in zip(views, ends, strict=True)]

    def _row(self, image: Ready, outputs: Outputs) -> Row:
        analysis = self._pipeline.conclude(image.prepared, outputs)
        return {
            "path": image.name,
            "sha256": image.sha256,
            "class": analysis.label,
            "confidence": analysis.confidence,
            **{f"probability_{name}": analysis.probability(name) for name in CLASSES},
            "review": bool(analysis.review),
            "reasons": [reason.code for reason in analysis.review],
            "distance": analysis.distance,
            **self._model,
        }

    def _error(self, name: str, digest: str | None, code: str, text: str) -> Row:
        return {"path": name, "sha256": digest, "error_code": code, "error": text, **self._model}
