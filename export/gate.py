"""Quality gate: add an int8 or fp16 graph to a bundle only if it is measurably faster and as accurate."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from export.compare import Fidelity, Speed, compare_predictions, compare_speed
from export.options import QuantizeOptions, ReducedPrecision
from export.quantize import quantize_int8, to_fp16
from wbc.analyzer import Analyzer
from wbc.bundle import GRAPHS, ONNX, Bundle, sha256, write_manifest
from wbc.cpu import cpu_quota
from wbc.data.dataset import VAL, prepare_all, read_split
from wbc.errors import DeviceUnavailable
from wbc.inference import OnnxClassifier
from wbc.machine import package_versions, processor_name
from wbc.preprocessing.pipeline import Preprocessor
from wbc.settings import Device


@dataclass(frozen=True, slots=True)
class Limits:
    """Conditions for adding a graph.

    Attributes:
        min_speedup: minimum ratio of the speeds of the graph and of single precision, at every batch size.
        max_lost: maximum loss of balanced accuracy on `Val`, as a share.
        batch_sizes: batch sizes at which the speed is measured.
    """

    min_speedup: float
    max_lost: float = 0.002
    batch_sizes: tuple[int, ...] = (1, 8, 32)


LIMITS: dict[ReducedPrecision, Limits] = {"int8": Limits(min_speedup=1.8), "fp16": Limits(min_speedup=1.0)}


class GateResult(BaseModel):
    """Measurements of a graph.

    Attributes:
        graph: its precision.
        offered: true if it passed and was added to the bundle.
        failures: the conditions that it did not meet.
        created: UTC, ISO 8601.
        model: name and version of the bundle, SHA-256 of the graph in single precision.
        cpu: model name of the processor.
        vnni: true if the processor has instructions for products of 8-bit integers (AVX512-VNNI or AVX-VNNI).
        load_average: mean number of runnable processes over the minute before; near 0 on an idle machine.
        provider: execution provider of both graphs.
        threads: threads of a forward pass.
        versions: versions of the packages that affect the result.
        calibration_images: number of training images that the ranges of int8 were taken from.
        bytes: size of both files.
        speed: results per batch size; empty if the device was not available.
        fidelity: comparison of the predictions on `Val`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    graph: ReducedPrecision
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


def add_graph(
    options: QuantizeOptions, *, limits: Limits | None = None, log: Callable[[str], None] = lambda _: None
) -> GateResult:
    """Make a graph, measure it, and add it to the bundle if it passes; an earlier graph is removed in any case.

    Args:
        options: bundle, data, precision and extent of the measurement.
        limits: conditions; None takes those of `LIMITS`.
        log: receives progress messages.

    Raises:
        BundleError: see `Bundle.load`.
        DataError: a split is missing.
        ExportError: the graph cannot be made.
    """
    bundle = remove_graph(Bundle.load(options.bundle), options.graph)
    spec, calibration_images = bundle.manifest.preprocessing, 0
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / GRAPHS[options.graph]
        if options.graph == "int8":
            log(f"calibrating on {options.train_split}")
            split = read_split(options.data_root, options.train_split, options.calibration_images)
            calibration_images = len(split.paths)
            quantize_int8(bundle.onnx_path, candidate, prepare_all(split, Preprocessor(spec), spec.size))
        else:
            to_fp16(bundle.onnx_path, candidate)
        result = _measure(bundle, candidate, options, limits or LIMITS[options.graph], calibration_images, log)
        if result.offered:
            _add(bundle, candidate, result)
    return result


def remove_graph(bundle: Bundle, graph: ReducedPrecision) -> Bundle:
    """Remove a graph from a bundle, first from the manifest, so that the folder is a valid bundle at any time."""
    if graph not in bundle.graphs:
        return bundle
    manifest = bundle.manifest
    files = {name: digest for name, digest in manifest.files.items() if name != GRAPHS[graph]}
    graphs = {name: measured for name, measured in manifest.graphs.items() if name != graph}
    write_manifest(bundle.path, manifest.model_copy(update={"files": files, "graphs": graphs}))
    (bundle.path / GRAPHS[graph]).unlink()
    return Bundle.load(bundle.path)


def _add(bundle: Bundle, candidate: Path, result: GateResult) -> None:
    name, manifest = GRAPHS[result.graph], bundle.manifest
    (bundle.path / name).write_bytes(candidate.read_bytes())
    measured = result.model_dump(mode="json", exclude={"schema_version", "graph", "offered", "failures", "model"})
    update = {
        "files": {**manifest.files, name: sha256(bundle.path / name)},
        "graphs": {**manifest.graphs, result.graph: measured},
    }
    write_manifest(bundle.path, manifest.model_copy(update=update))


def _measure(
    bundle: Bundle,
    candidate: Path,
    options: QuantizeOptions,
    limits: Limits,
    calibration_images: int,
    log: Callable[[str], None],
) -> GateResult:
    load, failures = os.getloadavg()[0], []
    device: Device = "cpu" if options.graph == "int8" else "cuda"
    try:
        fp32 = OnnxClassifier(bundle.onnx_path, threads=options.threads, device=device)
    except DeviceUnavailable as error:
        failures.append(f"its speed cannot be measured here: {error}")
        device = "cpu"
        fp32 = OnnxClassifier(bundle.onnx_path, threads=options.threads)
    graph = OnnxClassifier(candidate, threads=options.threads, device=device)
    log("timing both graphs alternately")
    sizes = () if failures else limits.batch_sizes
    speed = tuple(compare_speed(fp32, graph, size, options.rounds) for size in sizes)
    log(f"analyzing {VAL} with both graphs")
    split = read_split(options.data_root, VAL, options.limit)
    fidelity = compare_predictions(Analyzer(bundle, fp32), Analyzer(bundle, graph), split)
    failures += [
        f"{one.ratio.value:.2f} times as fast as single precision at batch size {one.batch_size}; "
        f"at least {limits.min_speedup:g} is required"
        for one in speed
        if one.ratio.value < limits.min_speedup
    ]
    if fidelity.lost.value > limits.max_lost:
        failures.append(
            f"it loses {100 * fidelity.lost.value:.2f} points of balanced accuracy on {VAL}; "
            f"at most {100 * limits.max_lost:g} are accepted"
        )
    manifest = bundle.manifest
    return GateResult(
        graph=options.graph,
        offered=not failures,
        failures=tuple(failures),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        model={"name": manifest.name, "version": manifest.version, "onnx_sha256": manifest.files[ONNX]},
        cpu=processor_name(),
        vnni=_has_vnni(),
        load_average=round(load, 2),
        provider=graph.provider,
        threads=options.threads or cpu_quota(),
        versions=package_versions(("onnx", "onnxruntime-gpu", "numpy")),
        calibration_images=calibration_images,
        bytes={"fp32": bundle.onnx_path.stat().st_size, options.graph: candidate.stat().st_size},
        speed=speed,
        fidelity=fidelity,
    )


def _has_vnni() -> bool:
    info = Path("/proc/cpuinfo")
    return info.is_file() and not {"avx512_vnni", "avx_vnni"}.isdisjoint(info.read_text().split())
