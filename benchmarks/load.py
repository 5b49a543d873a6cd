"""Load test of the served product, with the bare session and a naive Keras server as references from the same run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cells import load_pictures
from benchmarks.generator import ClosedLoop, Generate, OpenArrivals, Requests, spawn_generator
from benchmarks.latency import BATCH_SIZES, load_analyzer, time_forward_passes
from benchmarks.options import LoadOptions
from benchmarks.record import BundleUsed, LoadResult, Traffic
from benchmarks.server import Product, Server
from wbc.bundle import Bundle
from wbc.cpu import serving_threads
from wbc.machine import Machine
from wbc.settings import settings

ENDPOINT = "/predict?explain=false"
DEADLINE_MS = 1000.0
OVERLOAD_FACTOR = 4.0
SETTINGS = {"WBC_TTA": "none"}
"""Settings of the server: one view per image, like the bare session and the naive server."""

NAIVE_CALLERS = 2
"""While one request is processed the next one waits, so that the synchronous server is never idle."""

BATCH_HISTOGRAM = "wbc_forward_batch_images"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Lengths and repeats of a run; durations include the warm-up."""

    batch_sizes: tuple[int, ...] = BATCH_SIZES
    forward_repeats: int = 8
    callers: tuple[int, ...] = (8, 32, 60)
    trials: int = 6
    warm_up_s: float = 3.0
    naive_s: float = 25.0
    single_s: float = 15.0
    saturated_s: float = 15.0
    trial_s: float = 20.0
    overload_s: float = 20.0


QUICK = Schedule(
    batch_sizes=(1, 8),
    forward_repeats=2,
    callers=(8,),
    trials=2,
    warm_up_s=0.3,
    naive_s=2.0,
    single_s=1.5,
    saturated_s=2.0,
    trial_s=1.5,
    overload_s=1.5,
)


def measure_load(options: LoadOptions, machine: Machine, log: Callable[[str], None]) -> LoadResult:
    """Measure the bare session, the naive server and the product, one after the other.

    Raises:
        BundleMissing: the bundle does not contain the graph.
        DeviceUnavailable: the device cannot be used.
    """
    chosen, schedule = settings(), QUICK if options.quick else Schedule()
    bundle = Bundle.load(options.bundle or chosen.bundle)
    files, source = load_pictures(options.images, 32)
    log("bare session")
    analyzer = load_analyzer(bundle, options.graph)
    views = np.stack([analyzer.pipeline.prepare(file)[0].model_input for file in files])
    bare = time_forward_passes(analyzer.classifier, views, schedule.batch_sizes, schedule.forward_repeats)
    environment = {
        "WBC_BUNDLE": str(bundle.path.resolve()),
        "WBC_THREADS": str(chosen.threads),
        "WBC_GRAPH": options.graph,
        "WBC_DEVICE": "cpu" if options.graph == "int8" else chosen.device,
        **SETTINGS,
    }
    with spawn_generator() as generate, tempfile.TemporaryDirectory() as folder:
        log("naive server")
        naive = _measure_naive(bundle, files, schedule, generate, Path(folder)) if options.naive else None
        log("starting the server")
        with Product(Path(folder), environment) as server:
            send = partial(_send, server, Requests.from_files(server.url + ENDPOINT, files), generate, log)
            arrivals = partial(OpenArrivals, warm_up_s=schedule.warm_up_s, kind=options.arrivals, seed=1)
            send(ClosedLoop(4, schedule.warm_up_s), "warm-up")
            single = send(ClosedLoop(1, schedule.single_s, schedule.warm_up_s), "one caller")
            saturated = {
                callers: send(ClosedLoop(callers, schedule.saturated_s, schedule.warm_up_s), f"{callers} callers")
                for callers in schedule.callers
            }
            peak = max(traffic.throughput for traffic in saturated.values())
            trials = _find_sustained_rate(
                lambda rate: send(arrivals(rate, schedule.trial_s), f"{rate:.1f}/s"), peak, schedule.trials
            )
            result = LoadResult(
                command=f"wbc bench load --graph {options.graph}",
                quick=options.quick,
                machine=machine,
                bundle=BundleUsed.of(bundle, options.graph),
                images=source,
                endpoint=ENDPOINT,
                settings=SETTINGS,
                threads=serving_threads(chosen.threads),
                provider=analyzer.provider,
                bare=bare,
                naive=naive,
                single=single,
                saturated=saturated,
                deadline_ms=DEADLINE_MS,
                trials=trials,
                overload_factor=OVERLOAD_FACTOR,
                overload=None,
            )
            if result.sustained is None:
                return result
            rate = OVERLOAD_FACTOR * (result.sustained.rate or 0.0)
            overload = send(arrivals(rate, schedule.overload_s), f"{rate:.1f}/s, overload")
            return result.model_copy(update={"overload": overload})


def count_batches(url: str) -> tuple[float, float]:
    """Read from a server's metrics how many images and forward passes it has processed, all workers together.

    Raises:
        httpx.HTTPError: the server did not return its metrics.
    """
    answer = httpx.get(f"{url}/metrics", timeout=10).raise_for_status()
    samples = [s for family in text_string_to_metric_families(answer.text) for s in family.samples]
    images, passes = (
        sum(s.value for s in samples if s.name == f"{BATCH_HISTOGRAM}_{suffix}") for suffix in ("sum", "count")
    )
    return images, passes


def _send(
    server: Server,
    requests: Requests,
    generate: Generate,
    log: Callable[[str], None],
    load: ClosedLoop | OpenArrivals,
    name: str,
) -> Traffic:
    """Send one load to the server, and add the server's mean batch size to the result."""
    log(name)
    images, passes = count_batches(server.url)
    traffic = generate(requests, load)
    more_images, more_passes = count_batches(server.url)
    if more_passes == passes:
        return traffic
    return traffic.model_copy(update={"mean_batch": round((more_images - images) / (more_passes - passes), 3)})


def _find_sustained_rate(send: Callable[[float], Traffic], peak: float, trials: int) -> list[Traffic]:
    """Bisect for the highest rate that meets the deadline, between 0 and 1.2 times the peak throughput."""
    low, high, rate, tried = 0.0, 1.2 * peak, 0.7 * peak, []
    for _ in range(trials):
        tried.append(send(rate))
        low, high = (rate, high) if tried[-1].meets(DEADLINE_MS) else (low, rate)
        rate = (low + high) / 2
    return tried


def _measure_naive(bundle: Bundle, files: list[bytes], schedule: Schedule, generate: Generate, folder: Path) -> Traffic:
    command = [sys.executable, "-m", "benchmarks.naive", str(bundle.path.resolve()), "{port}"]
    with Server(command, folder / "naive.log", {"TF_CPP_MIN_LOG_LEVEL": "2"}, ready_path="/") as server:
        requests = Requests.from_files(f"{server.url}/predict", files, timeout_s=120)
        generate(requests, ClosedLoop(1, 0.1))  # the first request traces the graph of `predict`
        return generate(requests, ClosedLoop(NAIVE_CALLERS, schedule.naive_s, schedule.warm_up_s))
