"""The classifier service: a bundle's graph and its metrics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wbc.bundle import Bundle
from wbc.cpu import serving_threads
from wbc.http.metrics import ClassifierMetrics
from wbc.inference import OnnxClassifier
from wbc.settings import Settings


class ServedClassifier:
    """The graph that the settings select, warmed up."""

    def __init__(self, settings: Settings) -> None:
        self._session = OnnxClassifier.of(
            Bundle.load(settings.bundle),
            threads=serving_threads(settings.threads),
            device=settings.device,
            graph=settings.graph,
        )
        self._max_batch_size = settings.max_batch_size
        self._session.warm_up(self._max_batch_size)
        self._metrics = ClassifierMetrics()

    @property
    def shape(self) -> list[int]:
        """Size of the embedding, and height and width of the maps."""
        return [self._session.embedding_size, *self._session.grid]

    @property
    def provider(self) -> str:
        """Active execution provider."""
        return self._session.provider

    def classify(self, views: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the packed outputs of uint8 views (N, S, S, 3), one row per view."""
        packed = []
        for start in range(0, len(views), self._max_batch_size):  # BentoML limits calls per batch, not their rows
            part = views[start : start + self._max_batch_size]
            self._metrics.observe_batch(len(part))
            packed.append(self._session(part).packed())
        return np.concatenate(packed)
