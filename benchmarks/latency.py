"""The stages of one image's way apart, in one process, and the bare forward pass by batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells import pictures
from benchmarks.machine import Machine
from benchmarks.record import BundleUsed, Spread, StageResult
from benchmarks.timing import spread
from wbc.analysis import Pipeline
from wbc.bundle import GRAPHS, Bundle
from wbc.images import decode, encode_png
from wbc.inference import OnnxClassifier, available_providers, cpu_quota
from wbc.saliency.overlay import grey, heatmap, overlay
from wbc.schemas import ModelInfo, PredictionAnswer
from wbc.settings import Device, Graph

BATCH_SIZES = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True, slots=True)
class LatencyConfig:
    """How stages are timed.

    Attributes:
        bundle: folder of the model bundle.
        graphs: whose forward pass is timed, the first for the stages as well; empty is all that the bundle holds.
        images: folder of image files; None draws cells.
        threads: of a forward pass; 0 takes the CPU quota.
        device: that forward passes run on; int8 runs on the CPU always.
        repeats: of each stage.
        forward_repeats: passes of each batch size.
        batch_sizes: of the forward pass.
        quick: whether it is a short run.
    """

    bundle: Path
    graphs: tuple[Graph, ...] = ()
    images: Path | None = None
    threads: int = 0
    device: Device = "cpu"
    repeats: int = 200
    forward_repeats: int = 12
    batch_sizes: tuple[int, ...] = BATCH_SIZES
    quick: bool = False


def load_classifier(bundle: Bundle, graph: Graph, threads: int, device: Device) -> OnnxClassifier:
    """A graph of a bundle on a device; int8, which is made for CPUs, on the CPU whatever the device.

    Raises:
        BundleMissing: the bundle does not hold the graph.
        DeviceUnavailable: the device cannot be used.
    """
    return OnnxClassifier.of(bundle, threads=threads, device="cpu" if graph == "int8" else device, graph=graph)


def forward_by_batch(
    classifier: OnnxClassifier, views: NDArray[np.uint8], batch_sizes: Sequence[int], repeats: int
) -> dict[int, Spread]:
    """Time of one forward pass by number of images; twice as many passes of one image as of the others.

    Args:
        classifier: the graph.
        views: uint8 (N, S, S, 3), repeated to fill a batch.
        batch_sizes: number of images a pass.
        repeats: passes of each size.
    """
    found = {}
    for size in batch_sizes:
        batch = np.resize(views, (size, *views.shape[1:]))
        found[size] = spread(classifier, [batch], repeats * 2 if size == 1 else repeats)
    return found


def measure_latency(config: LatencyConfig, machine: Machine) -> StageResult:
    """Time the stages and the forward passes.

    Args:
        config: how.
        machine: what it runs on, read before anything is measured.

    Raises:
        BundleMissing: a graph that the bundle does not hold.
        DeviceUnavailable: a device that cannot be used.
    """
    bundle = Bundle.load(config.bundle)
    graphs = config.graphs or bundle.graphs
    data, described = pictures(config.images, 32)
    classifier = load_classifier(bundle, graphs[0], config.threads, config.device)
    stages, views = _stages(Pipeline(bundle), classifier, ModelInfo.of(bundle), data, config.repeats)
    forward, providers = {}, {}
    for graph in graphs:
        session = load_classifier(bundle, graph, config.threads, config.device)
        forward[graph] = forward_by_batch(session, views, config.batch_sizes, config.forward_repeats)
        providers[graph] = session.provider
    return StageResult(
        command="wbc bench latency",
        quick=config.quick,
        machine=machine,
        bundle=BundleUsed.of(bundle, graphs[0]),
        images=described,
        threads=config.threads or cpu_quota(),
        providers=providers,
        available=available_providers(),
        stages=stages,
        forward=forward,
        left_out=[graph for graph in GRAPHS if graph not in bundle.graphs],
    )


def _stages(
    pipeline: Pipeline, classifier: OnnxClassifier, model: ModelInfo, data: Sequence[bytes], repeats: int
) -> tuple[dict[str, Spread], NDArray[np.uint8]]:
    """Each stage on what the stage before it made of the pictures; and the network's inputs."""
    preprocessor = pipeline.preprocessor
    decoded = [decode(item) for item in data]
    prepared = [preprocessor(rgb) for rgb in decoded]
    views = np.stack([one.model_input for one in prepared])
    outputs = [classifier(one.model_input[None]) for one in prepared]
    analyses = [pipeline.conclude(*pair) for pair in zip(prepared, outputs, strict=True)]
    stages = {
        "decode": spread(decode, data, repeats),
        "framing and foreground": spread(preprocessor.frame, decoded, repeats),
        "filter": spread(preprocessor.normalise, [one.display for one in prepared], repeats),
        "heatmap": spread(
            lambda pair: heatmap(pair[0].cam[0, 0], pair[1].display.shape[0]),
            list(zip(outputs, prepared, strict=True)),
            repeats,
        ),
        "heatmap, focus, quality and review": spread(
            lambda pair: pipeline.conclude(*pair), list(zip(prepared, outputs, strict=True)), repeats
        ),
        "overlay": spread(
            lambda one: overlay(one.prepared.display, one.heatmap, one.prepared.foreground), analyses, repeats
        ),
        "encode": spread(
            lambda one: [encode_png(picture) for picture in (one.prepared.display, grey(one.heatmap))],
            analyses,
            repeats,
        ),
        "answer": spread(
            lambda one: PredictionAnswer.of(one, model, "benchmark").model_dump_json(by_alias=True), analyses, repeats
        ),
    }
    return stages, views
