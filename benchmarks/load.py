"""The served product under load, and beside it, in one run, the bare session and the naive path."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.batches import batch_count
from benchmarks.cells import pictures
from benchmarks.generator import ClosedLoop, Generate, OpenArrivals, Requests, in_own_process
from benchmarks.latency import BATCH_SIZES, forward_by_batch, load_classifier
from benchmarks.machine import Machine
from benchmarks.record import BundleUsed, LoadResult, Spread, Traffic
from benchmarks.server import Product, Server
from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.inference import serving_threads
from wbc.settings import Device, Graph

ENDPOINT = "/predict?explain=false"
DEADLINE_MS = 1000.0
OVERLOAD_FACTOR = 4.0

NAIVE_CALLERS = 2
"""One is served while the next request waits, so that the synchronous server never idles."""


@dataclass(frozen=True, slots=True)
class LoadConfig:
    """How the product is put under load.

    Attributes:
        bundle: folder of the model bundle.
        graph: that is served.
        images: folder of image files; None draws cells.
        threads: of a forward pass; 0 takes what the service and the bare session take by themselves.
        device: that forward passes run on; int8 runs on the CPU always.
        arrivals: of the open loads.
        naive: whether the naive path is measured beside it.
        batch_sizes: of the bare session.
        forward_repeats: passes of the bare session for each batch size.
        callers: of the closed loops that look for the peak.
        trials: rates that are tried for the highest that is held.
        warm_up_s: before the first measurement, and uncounted at the start of each.
        naive_s, single_s, saturated_s, trial_s, overload_s: length of each stretch, warm-up included.
        environment: settings of the server, `WBC_*`; one view an image, as the bare session and the naive path have it.
        quick: whether it is a short run.
    """

    bundle: Path
    graph: Graph = "fp32"
    images: Path | None = None
    threads: int = 0
    device: Device = "cpu"
    arrivals: Literal["poisson", "constant"] = "poisson"
    naive: bool = True
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
    environment: dict[str, str] = field(default_factory=lambda: {"WBC_TTA": "none"})
    quick: bool = False


def measure_load(config: LoadConfig, machine: Machine, say: Callable[[str], None]) -> LoadResult:
    """Measure the bare session, the naive path and the served product, one after the other.

    Args:
        config: how.
        machine: what it runs on, read before anything is measured.
        say: is told what is being done.

    Raises:
        BundleMissing: a graph that the bundle does not hold.
        DeviceUnavailable: a device that cannot be used.
    """
    bundle = Bundle.load(config.bundle)
    data, described = pictures(config.images, 32)
    say("bare session")
    bare, provider = _bare(bundle, config, data)
    with in_own_process() as generate, tempfile.TemporaryDirectory() as folder:
        naive = _naive(config, data, generate, Path(folder), say) if config.naive else None
        environment = {
            "WBC_BUNDLE": str(config.bundle.resolve()),
            "WBC_THREADS": str(config.threads),
            "WBC_GRAPH": config.graph,
            "WBC_DEVICE": "cpu" if config.graph == "int8" else config.device,
            **config.environment,
        }
        say("server starts")
        with Product(Path(folder), environment) as server:
            under_load = _Served(server, Requests.of_files(server.url + ENDPOINT, data), generate, config, say)
            under_load.run(ClosedLoop(4, config.warm_up_s), "warm-up")
            single = under_load.run(ClosedLoop(1, config.single_s, config.warm_up_s), "one caller")
            saturated = {
                callers: under_load.run(ClosedLoop(callers, config.saturated_s, config.warm_up_s), f"{callers} callers")
                for callers in config.callers
            }
            trials = under_load.search(max(traffic.throughput for traffic in saturated.values()))
            result = LoadResult(
                command=f"wbc bench load --graph {config.graph}",
                quick=config.quick,
                machine=machine,
                bundle=BundleUsed.of(bundle, config.graph),
                images=described,
                endpoint=ENDPOINT,
                settings=config.environment,
                threads=serving_threads(config.threads),
                provider=provider,
                bare=bare,
                naive=naive,
                single=single,
                saturated=saturated,
                deadline_ms=DEADLINE_MS,
                trials=trials,
                overload_factor=OVERLOAD_FACTOR,
                overload=None,
            )
            if result.held is None or result.held.rate is None:
                return result
            load = under_load.arrivals(OVERLOAD_FACTOR * result.held.rate, config.overload_s)
            return result.model_copy(update={"overload": under_load.run(load, f"{load.rate:.1f}/s, overload")})


class _Served:
    """The server under test and how it is spoken to."""

    def __init__(
        self, server: Server, requests: Requests, generate: Generate, config: LoadConfig, say: Callable[[str], None]
    ) -> None:
        self.server, self.requests, self.generate, self.config, self.say = server, requests, generate, config, say

    def arrivals(self, rate: float, duration_s: float) -> OpenArrivals:
        """An open load of this run."""
        return OpenArrivals(rate, duration_s, self.config.warm_up_s, self.config.arrivals, seed=1)

    def run(self, load: ClosedLoop | OpenArrivals, name: str) -> Traffic:
        """One stretch, with the mean batch size of the server in it."""
        self.say(name)
        before = batch_count(self.server.url)
        traffic = self.generate(self.requests, load)
        mean, missing = batch_count(self.server.url).since(before)
        return traffic.model_copy(
            update={"mean_batch": None if mean is None else round(mean, 3), "mean_batch_missing": missing}
        )

    def search(self, peak: float) -> list[Traffic]:
        """Bisect for the highest rate that is held, between none and 1.2 times the peak of the closed loops."""
        low, high, rate, trials = 0.0, 1.2 * peak, 0.7 * peak, []
        for _ in range(self.config.trials):
            traffic = self.run(self.arrivals(rate, self.config.trial_s), f"{rate:.1f}/s")
            trials.append(traffic)
            low, high = (rate, high) if traffic.held(DEADLINE_MS) else (low, rate)
            rate = (low + high) / 2
        return trials


def _bare(bundle: Bundle, config: LoadConfig, data: list[bytes]) -> tuple[dict[int, Spread], str]:
    """Forward passes in this process by batch size, and the provider."""
    classifier = load_classifier(bundle, config.graph, config.threads, config.device)
    pipeline = Pipeline(bundle)
    views = np.stack([pipeline.prepare(item)[0].model_input for item in data])
    forward = forward_by_batch(classifier, views, config.batch_sizes, config.forward_repeats)
    return forward, classifier.provider


def _naive(
    config: LoadConfig, data: list[bytes], generate: Generate, folder: Path, say: Callable[[str], None]
) -> Traffic:
    say("naive path starts")
    command = [sys.executable, "-m", "benchmarks.naive", str(config.bundle.resolve()), "{port}"]
    with Server(command, folder / "naive.log", {"TF_CPP_MIN_LOG_LEVEL": "2"}, ready_path="/") as server:
        requests = Requests.of_files(f"{server.url}/predict", data, timeout_s=120)
        say("naive path")
        generate(requests, ClosedLoop(1, 0.1))  # the first answer traces the graph of `predict`
        return generate(requests, ClosedLoop(NAIVE_CALLERS, config.naive_s, config.warm_up_s))
