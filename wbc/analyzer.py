"""Images to analyses: the code path shared by every command, the evaluation and the benchmarks."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wbc.adaptation.routing import LabelSet
from wbc.analysis import Analysis, Pipeline
from wbc.bundle import Bundle
from wbc.cpu import cpu_quota
from wbc.errors import InputError, ModelError, UnreadableFile, WBCError
from wbc.inference import OnnxClassifier, Outputs
from wbc.preprocessing.pipeline import Prepared
from wbc.settings import Graph, Settings
from wbc.settings import settings as process_settings

Classifier = Callable[[NDArray[np.uint8]], Outputs]
"""A forward pass: uint8 (N, S, S, 3) to the outputs of N views; an `OnnxClassifier` or a Keras model."""

Image = Path | bytes | NDArray[np.uint8]
"""A file, the bytes of a file, or an RGB picture, uint8 (H, W, 3)."""

AnyImage = TypeVar("AnyImage", bound=Image)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An image after the forward pass.

    Attributes:
        prepared: the prepared image.
        outputs: outputs for its views, the unaltered one first; see `Pipeline.select`.
        timings_ms: wall time of decoding and preparing.
        sha256: digest of the file's bytes, hexadecimal; empty for a picture.
    """

    prepared: Prepared
    outputs: Outputs
    timings_ms: dict[str, float]
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class _Ready:
    prepared: Prepared
    timings_ms: dict[str, float]
    sha256: str


class Analyzer:
    """A bundle's preprocessing, graph and adaptation in this process; safe across threads.

    Args:
        bundle: the bundle; its manifest decides the views.
        classifier: the forward pass.
        pipeline: all other steps; None builds it from the bundle.

    Example:
        >>> analyzer = Analyzer.load()
        >>> analyzer.analyze(Path("cell.jpg").read_bytes()).label
        'Monocyte'
    """

    def __init__(self, bundle: Bundle, classifier: Classifier, pipeline: Pipeline | None = None) -> None:
        self.bundle = bundle
        self.classifier = classifier
        self.pipeline = Pipeline(bundle) if pipeline is None else pipeline

    @classmethod
    def load(cls, bundle: Path | Bundle | None = None, settings: Settings | None = None) -> Analyzer:
        """Load a bundle with the views, graph, device and threads of the settings.

        Args:
            bundle: a bundle or its folder; None takes `Settings.bundle`.
            settings: None takes those of this process, from the environment.

        Raises:
            BundleError: the bundle is missing, damaged or does not fit this code.
            DeviceUnavailable: the device was requested by name and cannot be used.
        """
        chosen = settings or process_settings()
        loaded = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle or chosen.bundle)
        classifier = OnnxClassifier.of(loaded, threads=chosen.threads, device=chosen.device, graph=chosen.graph)
        return cls(loaded.with_tta(chosen.tta), classifier)

    @property
    def graph(self) -> Graph:
        """Precision of the graph."""
        return self.classifier.graph if isinstance(self.classifier, OnnxClassifier) else "fp32"

    @property
    def provider(self) -> str | None:
        """Active execution provider of ONNX Runtime; None for another classifier."""
        return self.classifier.provider if isinstance(self.classifier, OnnxClassifier) else None

    def analyze(self, data: bytes, label_set: LabelSet | None = None) -> Analysis:
        """Analyze one image.

        Args:
            data: the bytes of an image file.
            label_set: the classes that can occur, if declared.

        Raises:
            UnsupportedFormat, MalformedImage, ImageTooLarge: see `images.decode`.
            ModelError: the graph failed.
        """
        return self.pipeline.analyze(data, self.classifier, label_set)

    def analyze_many(
        self,
        images: Iterable[AnyImage],
        *,
        workers: int = 0,
        batch_size: int = 8,
        label_set: LabelSet | None = None,
    ) -> Iterator[tuple[AnyImage, Analysis | WBCError]]:
        """Analyze images in order; an image that fails yields its error and does not affect the others.

        Args:
            images: files, bytes or pictures.
            workers: threads that decode and prepare; 0 takes the CPU quota.
            batch_size: maximum number of views in a forward pass.
            label_set: the classes that can occur, if declared.
        """
        for image, found in self.forward_many(images, workers=workers, batch_size=batch_size):
            if isinstance(found, WBCError):
                yield image, found
            else:
                yield image, self.pipeline.conclude(found.prepared, found.outputs, found.timings_ms, label_set)

    def forward_many(
        self,
        images: Iterable[AnyImage],
        *,
        pipelines: Sequence[Pipeline] = (),
        workers: int = 0,
        batch_size: int = 8,
    ) -> Iterator[tuple[AnyImage, Forwarded | WBCError]]:
        """Run the forward pass on images in order; an image that fails yields its error.

        Files are decoded and prepared by threads, a bounded number ahead. Views of different images share a batch.

        Args:
            images: files, bytes or pictures.
            pipelines: several settings with the same preprocessing that share the forward pass; each takes its own
                views with `Pipeline.select`. None given is this analyzer's own.
            workers: threads that decode and prepare; 0 takes the CPU quota.
            batch_size: maximum number of views in a forward pass.

        Yields:
            Each image with its outputs, or with `UnreadableFile`, an `InputError` or a `ModelError`.

        Raises:
            ValueError: the pipelines prepare images differently.
        """
        pipelines = pipelines or (self.pipeline,)
        if len({pipeline.preprocessor.spec.fingerprint for pipeline in pipelines}) != 1:
            raise ValueError("pipelines that share a forward pass need the same preprocessing; received several")
        ready = self._prepare_ahead(images, pipelines[0], workers or cpu_quota(), 2 * batch_size)
        while group := list(itertools.islice(ready, batch_size)):
            sound = [found for _, found in group if isinstance(found, _Ready)]
            results = iter(self._forward_each(sound, pipelines, batch_size))
            for image, found in group:
                yield image, next(results) if isinstance(found, _Ready) else found

    def forward(
        self, images: Sequence[Prepared], *, pipelines: Sequence[Pipeline] = (), batch_size: int = 8
    ) -> list[Outputs]:
        """Return the outputs for all views of each prepared image.

        With several pipelines, an image gets every view that one of them needs.

        Raises:
            ModelError: the graph failed.
        """
        pipelines = pipelines or (self.pipeline,)
        largest = max(pipelines, key=lambda pipeline: pipeline.manifest.tta == "light")
        found = self._run([largest.views(image) for image in images], batch_size)
        if largest.manifest.tta != "light":
            unsure = [n for n, out in enumerate(found) if any(pipeline.unsure(out) for pipeline in pipelines)]
            further = self._run([largest.all_further_views(images[n]) for n in unsure], batch_size)
            for n, more in zip(unsure, further, strict=True):
                found[n] = Outputs.joined(found[n], more)
        return found

    def _run(self, views: Sequence[NDArray[np.uint8]], batch_size: int) -> list[Outputs]:
        """Run the views of several images in batches and split the outputs by image."""
        if not views:
            return []
        rows = np.concatenate(views)
        batches = (self.classifier(rows[start : start + batch_size]) for start in range(0, len(rows), batch_size))
        outputs = Outputs.joined(*batches)
        ends = np.cumsum([len(one) for one in views]).tolist()
        return [outputs.rows(slice(end - len(one), end)) for one, end in zip(views, ends, strict=True)]

    def _forward_each(
        self, images: Sequence[_Ready], pipelines: Sequence[Pipeline], batch_size: int
    ) -> list[Forwarded | WBCError]:
        """Run images together; where the graph fails, one by one."""
        try:
            outputs = self.forward([one.prepared for one in images], pipelines=pipelines, batch_size=batch_size)
        except ModelError as error:
            if len(images) == 1:
                return [error]
            return [found for one in images for found in self._forward_each([one], pipelines, batch_size)]
        return [
            Forwarded(one.prepared, out, one.timings_ms, one.sha256) for one, out in zip(images, outputs, strict=True)
        ]

    @staticmethod
    def _prepare(image: Image, pipeline: Pipeline) -> _Ready:
        if isinstance(image, np.ndarray):
            start = time.perf_counter()
            prepared = pipeline.preprocessor(image)
            return _Ready(prepared, {"prepare": (time.perf_counter() - start) * 1e3}, "")
        try:
            data = image.read_bytes() if isinstance(image, Path) else image
        except OSError as error:
            raise UnreadableFile(error.strerror or type(error).__name__) from error
        prepared, timings = pipeline.prepare(data)
        return _Ready(prepared, timings, hashlib.sha256(data).hexdigest())

    def _prepare_ahead(
        self, images: Iterable[AnyImage], pipeline: Pipeline, workers: int, ahead: int
    ) -> Iterator[tuple[AnyImage, _Ready | WBCError]]:
        """Prepare images in threads, in order and at most `ahead` of their use, which bounds the memory."""

        def prepare(image: AnyImage) -> _Ready | WBCError:
            try:
                return self._prepare(image, pipeline)
            except InputError as error:
                return error

        waiting: deque[tuple[AnyImage, Future[_Ready | WBCError]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="prepare") as pool:
            for image in images:
                waiting.append((image, pool.submit(prepare, image)))
                if len(waiting) > ahead:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
