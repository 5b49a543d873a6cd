"""Time of each stage of one image, of each variant of the filter, and of the forward pass by batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells import load_pictures
from benchmarks.options import FilterOptions, LatencyOptions
from benchmarks.record import BundleUsed, FilterResult, Spread, StageResult
from benchmarks.timing import pin_to_one_core, time_repeats
from wbc.analyzer import Analyzer, Classifier
from wbc.bundle import GRAPHS, Bundle
from wbc.cpu import cpu_quota
from wbc.images import decode, encode_png
from wbc.inference import available_providers
from wbc.machine import Machine
from wbc.preprocessing.enhance import UNCALIBRATED, VARIANTS, enhance
from wbc.preprocessing.framing import Framing, frame
from wbc.saliency.overlay import grey, heatmap, overlay
from wbc.schemas import ModelInfo, PredictionAnswer
from wbc.settings import Graph, settings

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
FILTER_SIZE = 224


def load_analyzer(bundle: Bundle, graph: Graph) -> Analyzer:
    """Load a graph with `WBC_THREADS` on `WBC_DEVICE`; int8 always runs on the CPU.

    Raises:
        BundleMissing: the bundle does not contain the graph.
        DeviceUnavailable: the device cannot be used.
    """
    chosen = settings()
    device = "cpu" if graph == "int8" else chosen.device
    return Analyzer.load(bundle, chosen.model_copy(update={"graph": graph, "device": device}))


def time_forward_passes(
    classifier: Classifier, views: NDArray[np.uint8], batch_sizes: Sequence[int], repeats: int
) -> dict[int, Spread]:
    """Time the forward pass at each batch size, with twice as many repeats for a single image.

    `views`, uint8 (N, S, S, 3), are repeated to fill a batch.
    """
    return {
        size: time_repeats(classifier, [np.resize(views, (size, *views.shape[1:]))], repeats * (2 if size == 1 else 1))
        for size in batch_sizes
    }


def measure_latency(options: LatencyOptions, machine: Machine, log: Callable[[str], None]) -> StageResult:
    """Time the stages with the first graph, and the forward pass of every graph.

    Raises:
        BundleMissing: the bundle does not contain a graph.
        DeviceUnavailable: the device cannot be used.
    """
    repeats, forward_repeats, batch_sizes = (6, 2, (1, 8, 32)) if options.quick else (200, 12, BATCH_SIZES)
    bundle = Bundle.load(options.bundle or settings().bundle)
    graphs = options.graph or bundle.graphs
    files, source = load_pictures(options.images, 32)
    log("stages of one image")
    stages, views = _time_stages(load_analyzer(bundle, graphs[0]), files, repeats)
    forward, providers = {}, {}
    for graph in graphs:
        log(f"forward passes, {graph}")
        analyzer = load_analyzer(bundle, graph)
        forward[graph] = time_forward_passes(analyzer.classifier, views, batch_sizes, forward_repeats)
        providers[graph] = analyzer.provider or "unknown"
    return StageResult(
        command="wbc bench latency",
        quick=options.quick,
        machine=machine,
        bundle=BundleUsed.of(bundle, graphs[0]),
        images=source,
        threads=settings().threads or cpu_quota(),
        providers=providers,
        available=available_providers(),
        stages=stages,
        forward=forward,
        left_out=[graph for graph in GRAPHS if graph not in bundle.graphs],
    )


def _time_stages(
    analyzer: Analyzer, files: Sequence[bytes], repeats: int
) -> tuple[dict[str, Spread], NDArray[np.uint8]]:
    """Time each stage on the output of the one before; also returns the network's inputs."""
    pipeline, model = analyzer.pipeline, ModelInfo.from_analyzer(analyzer)
    decoded = [decode(file) for file in files]
    prepared = [pipeline.preprocessor(rgb) for rgb in decoded]
    pairs = [(one, analyzer.classifier(one.model_input[None])) for one in prepared]
    analyses = [pipeline.conclude(*pair) for pair in pairs]
    stages = {
        "decode": time_repeats(decode, files, repeats),
        "framing and foreground": time_repeats(pipeline.preprocessor.frame, decoded, repeats),
        "filter": time_repeats(pipeline.preprocessor.normalise, [one.display for one in prepared], repeats),
        "heatmap": time_repeats(lambda pair: heatmap(pair[1].cam[0, 0], pair[0].display.shape[0]), pairs, repeats),
        "heatmap, focus, quality and review": time_repeats(lambda pair: pipeline.conclude(*pair), pairs, repeats),
        "overlay": time_repeats(
            lambda one: overlay(one.prepared.display, one.heatmap, one.prepared.foreground), analyses, repeats
        ),
        "encode": time_repeats(
            lambda one: [encode_png(picture) for picture in (one.prepared.display, grey(one.heatmap))],
            analyses,
            repeats,
        ),
        "answer": time_repeats(
            lambda one: PredictionAnswer.of(one, model, "benchmark").model_dump_json(by_alias=True), analyses, repeats
        ),
    }
    return stages, np.stack([one.model_input for one in prepared])


def measure_filters(options: FilterOptions, machine: Machine, log: Callable[[str], None]) -> FilterResult:
    """Time every variant on framed images of 224x224 pixels, on one core."""
    repeats = 5 if options.quick else 300
    files, source = load_pictures(options.images, 32)
    framed = [frame(decode(file), FILTER_SIZE, Framing())[0] for file in files]
    log("variants of the filter")
    with pin_to_one_core():
        variants = {
            variant: time_repeats(partial(enhance, variant=variant, macenko=UNCALIBRATED), framed, repeats)
            for variant in VARIANTS
        }
    return FilterResult(
        command="wbc bench preprocessing",
        quick=options.quick,
        machine=machine,
        images=source,
        size=FILTER_SIZE,
        variants=variants,
    )
