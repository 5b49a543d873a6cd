"""The gate before a further graph: a bundle offers it only where it was measured to be faster and to answer as well."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from evaluation.intervals import RESAMPLES, Estimate, bootstrap
from evaluation.metrics import measure
from evaluation.predictions import Predictions, predict_one
from export.quantize import quantize_int8, to_fp16
from wbc.analyzer import Analyzer
from wbc.bundle import GRAPHS, ONNX, Bundle, sha256, write_manifest
from wbc.cpu import cpu_quota
from wbc.data.dataset import VAL, prepare_all, read_split
from wbc.errors import DeviceUnavailable
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES
from wbc.preprocessing.pipeline import Preprocessor
from wbc.settings import Device

FurtherGraph = Literal["int8", "fp16"]

LEAST_SPEEDUP: dict[FurtherGraph, float] = {"int8": 1.8, "fp16": 1.0}
"""How many times as fast as single precision a graph has to be, at every batch size that is measured."""

MOST_LOST = 0.002
"""Balanced accuracy on `Val` that a graph may lose."""

MAP_IMAGES_A_CLASS = 40


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Speed(_Result):
    """Median milliseconds an image of both graphs at one batch size, run in turns, and their ratio."""

    batch_size: int
    fp32_ms: float
    graph_ms: float
    ratio: Estimate


class Fidelity(_Result):
    """How the graph answers for `Val` beside single precision, on the served path.

    Attributes:
        images: how many.
        fp32, graph: balanced accuracy.
        lost: of it, from the first to the second; the interval is of the paired difference.
        other_class: images that are given another class.
        other_flag: images that are flagged for review by one of them alone.
        probability_largest, probability_mean: largest difference of a probability, over images and on average.
        maps: images whose maps were compared.
        maps_empty_in_one: of these, those whose map is empty in one graph alone.
        map_correlation_mean, map_correlation_p5: Pearson's, of the map of the class that single precision answers.
    """

    images: int
    fp32: Estimate
    graph: Estimate
    lost: Estimate
    other_class: int
    other_flag: int
    probability_largest: float
    probability_mean: float
    maps: int
    maps_empty_in_one: int
    map_correlation_mean: float
    map_correlation_p5: float


class GateResult(_Result):
    """What was measured of a graph, and whether the bundle offers it.

    Attributes:
        graph: its precision.
        offered: whether it passed.
        failures: why it did not.
        created: UTC, ISO 8601.
        model: name and version of the bundle, SHA-256 of the graph in single precision.
        cpu: model name of the processor.
        vnni: whether it multiplies 8-bit integers in one step (AVX512-VNNI or AVX-VNNI).
        load_average: runnable processes over the minute before; a quiet machine is near 0.
        provider: execution provider of both graphs.
        threads: of a forward pass.
        versions: of the packages that decide the result.
        calibration_images: of the training split, that the ranges were taken from.
        bytes: size of both files.
        speed: by batch size; empty where the device was not there.
        fidelity: on `Val`.
    """

    schema_version: Literal[1] = 1
    graph: FurtherGraph
    offered: bool
    failures: tuple[str, ...]
    created: str
    model: dict[str, str]
    cpu: str
    vnni: bool
    load_average: float
    provider: str
    threads: int
    versions: dict[str, str]
    calibration_images: int
    bytes: dict[str, int] = Field(description="by graph")
    speed: tuple[Speed, ...]
    fidelity: Fidelity


@dataclass(frozen=True, slots=True)
class GateConfig:
    """A graph that is to be made and measured.

    Attributes:
        bundle: folder of the bundle; the graph is added to it, or an earlier one taken away.
        data_root: folder of the splits, with `Val`.
        graph: its precision; `int8` is measured on the CPU, `fp16` on CUDA.
        train_split: folder of the images that the ranges of `int8` are taken from.
        calibration_images: how many of them a class, evenly spaced.
        limit: `Val` images a class; 0 is all.
        batch_sizes: of the timing.
        rounds: forward passes of each graph a batch size that are timed.
        threads: of a forward pass; 0 takes the CPU quota.
        least_speedup: at every batch size; None is `LEAST_SPEEDUP`.
        most_lost: balanced accuracy that may be lost.
    """

    bundle: Path
    data_root: Path
    graph: FurtherGraph = "int8"
    train_split: str = "Train"
    calibration_images: int = 40
    limit: int = 0
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    rounds: int = 30
    threads: int = 0
    least_speedup: float | None = None
    most_lost: float = MOST_LOST


def add_graph(config: GateConfig, say: Callable[[str], None] = lambda _: None) -> GateResult:
    """Make a graph, measure it, and add it to the bundle if it passes; else the bundle is left without it.

    Raises:
        BundleError: see `Bundle.load`.
        DataError: a split is missing.
        ExportError: the graph cannot be made.
    """
    bundle = withdraw(Bundle.load(config.bundle), config.graph)
    spec = bundle.manifest.preprocessing
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / GRAPHS[config.graph]
        if config.graph == "int8":
            say(f"calibrating on {config.train_split}")
            split = read_split(config.data_root, config.train_split, config.calibration_images)
            calibrated = len(split.paths)
            quantize_int8(bundle.onnx_path, candidate, prepare_all(split, Preprocessor(spec), spec.size))
        else:
            calibrated = 0
            to_fp16(bundle.onnx_path, candidate)
        result = _judge(bundle, candidate, config, calibrated, say)
        if result.offered:
            _offer(bundle, candidate, result)
    return result


def withdraw(bundle: Bundle, graph: FurtherGraph) -> Bundle:
    """Take a graph out of a bundle, if it is there: of the manifest first, so that the folder is sound at any time."""
    if graph not in bundle.graphs:
        return bundle
    manifest = bundle.manifest
    files = {name: digest for name, digest in manifest.files.items() if name != GRAPHS[graph]}
    graphs = {name: measured for name, measured in manifest.graphs.items() if name != graph}
    write_manifest(bundle.path, manifest.model_copy(update={"files": files, "graphs": graphs}))
    (bundle.path / GRAPHS[graph]).unlink()
    return Bundle.load(bundle.path)


def _offer(bundle: Bundle, candidate: Path, result: GateResult) -> None:
    name, manifest = GRAPHS[result.graph], bundle.manifest
    (bundle.path / name).write_bytes(candidate.read_bytes())
    measured = result.model_dump(mode="json", exclude={"schema_version", "graph", "offered", "failures", "model"})
    update = {
        "files": {**manifest.files, name: sha256(bundle.path / name)},
        "graphs": {**manifest.graphs, result.graph: measured},
    }
    write_manifest(bundle.path, manifest.model_copy(update=update))


def _judge(
    bundle: Bundle, candidate: Path, config: GateConfig, calibrated: int, say: Callable[[str], None]
) -> GateResult:
    load, failures = os.getloadavg()[0], []
    device: Device = "cpu" if config.graph == "int8" else "cuda"
    try:
        fp32 = OnnxClassifier(bundle.onnx_path, threads=config.threads, device=device)
    except DeviceUnavailable as error:
        failures.append(f"its speed cannot be measured here: {error}")
        device = "cpu"
        fp32 = OnnxClassifier(bundle.onnx_path, threads=config.threads)
    graph = OnnxClassifier(candidate, threads=config.threads, device=device)
    say("timing both graphs in turns")
    speed = () if failures else tuple(_speed(fp32, graph, size, config) for size in config.batch_sizes)
    say(f"answering for {VAL} with both graphs")
    fidelity = _fidelity(bundle, fp32, graph, config)
    least = LEAST_SPEEDUP[config.graph] if config.least_speedup is None else config.least_speedup
    failures += [
        f"{one.ratio.value:.2f} times as fast as single precision at batch {one.batch_size}; {least:g} is the least"
        for one in speed
        if one.ratio.value < least
    ]
    if fidelity.lost.value > config.most_lost:
        failures.append(
            f"it loses {100 * fidelity.lost.value:.2f} points of balanced accuracy on {VAL}; "
            f"at most {100 * config.most_lost:g} are accepted"
        )
    manifest, info = bundle.manifest, _cpuinfo()
    return GateResult(
        graph=config.graph,
        offered=not failures,
        failures=tuple(failures),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model={"name": manifest.name, "version": manifest.version, "onnx_sha256": manifest.files[ONNX]},
        cpu=info.get("model name", "unknown"),
        vnni=not {"avx512_vnni", "avx_vnni"}.isdisjoint(info.get("flags", "").split()),
        load_average=round(load, 2),
        provider=graph.provider,
        threads=config.threads or cpu_quota(),
        versions={name: version(name) for name in ("onnx", "onnxruntime-gpu", "numpy")},
        calibration_images=calibrated,
        bytes={"fp32": bundle.onnx_path.stat().st_size, config.graph: candidate.stat().st_size},
        speed=speed,
        fidelity=fidelity,
    )


def _speed(fp32: OnnxClassifier, graph: OnnxClassifier, batch_size: int, config: GateConfig) -> Speed:
    """Both graphs in turns, so that whatever else the machine does slows both."""
    size = fp32.image_size
    views = np.random.default_rng(0).integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
    taken = np.zeros((config.rounds, 2))
    for classifier in (fp32, graph):  # warm-up
        classifier(views)
    for row in taken:
        for column, classifier in enumerate((fp32, graph)):
            start = time.perf_counter()
            classifier(views)
            row[column] = time.perf_counter() - start
    medians = np.median(taken, axis=0)
    drawn = np.random.default_rng(0).integers(0, config.rounds, (RESAMPLES, config.rounds))
    redrawn = np.median(taken[drawn], axis=1)
    low, high = np.percentile(redrawn[:, 0] / redrawn[:, 1], [2.5, 97.5])
    return Speed(
        batch_size=batch_size,
        fp32_ms=1e3 * medians[0] / batch_size,
        graph_ms=1e3 * medians[1] / batch_size,
        ratio=Estimate(value=float(medians[0] / medians[1]), low=float(low), high=float(high)),
    )


def _fidelity(bundle: Bundle, fp32: OnnxClassifier, graph: OnnxClassifier, config: GateConfig) -> Fidelity:
    split = read_split(config.data_root, VAL, config.limit)
    ours, theirs = (predict_one(Analyzer(bundle, classifier), split) for classifier in (fp32, graph))
    apart = np.abs(ours.probabilities - theirs.probabilities).max(axis=1)
    correlations, empty_in_one = _maps(bundle, fp32, graph, config)
    balanced = [measure(one.labels, one.probabilities).present.balanced_accuracy for one in (ours, theirs)]
    return Fidelity(
        images=len(ours.labels),
        fp32=balanced[0],
        graph=balanced[1],
        lost=_lost(ours, theirs),
        other_class=int((ours.predicted != theirs.predicted).sum()),
        other_flag=int((ours.flagged != theirs.flagged).sum()),
        probability_largest=float(apart.max()),
        probability_mean=float(apart.mean()),
        maps=len(correlations) + empty_in_one,
        maps_empty_in_one=empty_in_one,
        map_correlation_mean=float(np.mean(correlations)),
        map_correlation_p5=float(np.percentile(correlations, 5)),
    )


def _lost(ours: Predictions, theirs: Predictions) -> Estimate:
    """Balanced accuracy lost from the first to the second answers, with the interval of the paired difference."""
    change = ours.correct.astype(np.int64) - theirs.correct  # 1 lost, 0 the same, -1 won
    table = np.array([[(change[ours.labels == c] == step).sum() for step in (-1, 0, 1)] for c in range(len(CLASSES))])
    present = table.sum(axis=1) > 0

    def lost(tables: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = (tables[:, present, 2] - tables[:, present, 0]) / tables[:, present].sum(axis=2)
        return np.asarray(shares.mean(axis=1))

    return bootstrap(table, lost, np.random.default_rng(0))


def _maps(
    bundle: Bundle, fp32: OnnxClassifier, graph: OnnxClassifier, config: GateConfig
) -> tuple[NDArray[np.float64], int]:
    """Pearson's correlation of the maps of both graphs, and the number of maps that are empty in one alone.

    Maps that are empty in both agree and have no correlation; they are left out.
    """
    limit = min(config.limit or MAP_IMAGES_A_CLASS, MAP_IMAGES_A_CLASS)
    spec = bundle.manifest.preprocessing
    images = prepare_all(read_split(config.data_root, VAL, limit), Preprocessor(spec), spec.size)
    found, empty_in_one = [], 0
    for start in range(0, len(images), 8):
        ours, theirs = (classifier(images[start : start + 8]) for classifier in (fp32, graph))
        for row, label in enumerate(ours.logits.argmax(axis=1)):
            pair = [out.cam[row, label].ravel().astype(np.float64) for out in (ours, theirs)]
            if all(one.std() > 0 for one in pair):
                found.append(float(np.corrcoef(pair)[0, 1]))
            elif any(one.any() for one in pair):
                empty_in_one += 1
    return np.array(found), empty_in_one


def _cpuinfo() -> dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in path.read_text().split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}
