"""What a benchmark leaves: one JSON file each, with all that is needed to judge and to repeat it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from benchmarks.machine import Machine
from wbc.bundle import Bundle
from wbc.errors import DataError
from wbc.settings import Graph

DECIMALS = 4


class Result(BaseModel):
    """Base of all results: frozen, and a file with another field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(Result):
    """What every result file holds besides its numbers.

    Attributes:
        command: that regenerates it, without paths.
        quick: whether it was a short run, which shows that everything runs and measures nothing well.
        machine: what it ran on.
    """

    command: str
    quick: bool
    machine: Machine


class BundleUsed(Result):
    """The model that was measured.

    Attributes:
        name, version: of the manifest.
        sha256: of the manifest, and through it of every file.
        variant: the enhancement filter before the network.
        graph: the precision of the graph that ran.
    """

    name: str
    version: str
    sha256: str
    variant: str
    graph: Graph

    @classmethod
    def of(cls, bundle: Bundle, graph: Graph) -> BundleUsed:
        """A loaded bundle, and the graph of it that runs."""
        manifest = bundle.manifest
        return cls(
            name=manifest.name,
            version=manifest.version,
            sha256=bundle.sha256,
            variant=manifest.preprocessing.variant,
            graph=graph,
        )


class Spread(Result):
    """Milliseconds of one kind of work, warm-up not counted."""

    median_ms: float
    p5_ms: float
    p95_ms: float
    repeats: int

    @classmethod
    def of(cls, seconds: list[float]) -> Spread:
        """Of the seconds that each repeat took."""
        p5, median, p95 = (round(1e3 * float(v), DECIMALS) for v in np.percentile(seconds, (5, 50, 95)))
        return cls(median_ms=median, p5_ms=p5, p95_ms=p95, repeats=len(seconds))


class StageResult(Measured):
    """`wbc bench latency`: the stages of one image's way apart, in one process, and the forward pass by batch size.

    Attributes:
        bundle: that was measured.
        images: where the pictures came from.
        threads: of a forward pass.
        providers: the execution provider of each graph.
        available: execution providers that this build of ONNX Runtime has.
        stages: each stage of one image.
        forward: by graph file and batch size, one forward pass of that many images.
        left_out: graphs that the bundle does not hold.
    """

    kind: Literal["latency"] = "latency"
    bundle: BundleUsed
    images: str
    threads: int
    providers: dict[str, str]
    available: list[str]
    stages: dict[str, Spread]
    forward: dict[str, dict[int, Spread]]
    left_out: list[str]


class FilterResult(Measured):
    """`wbc bench preprocessing`: the filter by variant, on one core.

    Attributes:
        images: where the pictures came from.
        size: side of the pictures in pixels.
        budget_ms: what the median of `budget_variant` may take.
        variants: time of one picture.
    """

    kind: Literal["preprocessing"] = "preprocessing"
    images: str
    size: int
    budget_ms: float
    budget_variant: str
    variants: dict[str, Spread]


class Traffic(Result):
    """What a stretch of requests found; requests that were due during its warm-up are left out of all but `sent`.

    Attributes:
        arrivals: `poisson` and `constant` send at given times whatever was answered, `closed` when the caller before is
            answered.
        rate: requests a second that were due; None where `closed`.
        callers: that wait for their answers; None where arrivals are open.
        duration_s: length of the stretch.
        warm_up_s: of it, not counted.
        sent: requests in all.
        statuses: how many were answered with each status; those without an answer are named after the fault.
        throughput: answers with 200 a second, by the time they arrived.
        p50_ms, p95_ms, p99_ms: from the time at which a request was due until its 200 had been read; None without one.
        send_lag_p99_ms: how late requests were sent; it is a part of the times above.
        generator_cpu: cores that the generator itself took.
        mean_batch: images in a forward pass, by the server's own count; None where `mean_batch_missing` says why.
    """

    arrivals: Literal["poisson", "constant", "closed"]
    rate: float | None
    callers: int | None
    duration_s: float
    warm_up_s: float
    sent: int
    statuses: dict[str, int]
    throughput: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    send_lag_p99_ms: float
    generator_cpu: float
    mean_batch: float | None = None
    mean_batch_missing: str | None = None

    def share(self, status: str) -> float:
        """Share of the counted requests that ended so, 0 to 1."""
        return self.statuses.get(status, 0) / max(1, sum(self.statuses.values()))

    def held(self, deadline_ms: float) -> bool:
        """Whether every request was answered with 200, and 99% of them within the deadline."""
        return set(self.statuses) == {"200"} and self.p99_ms is not None and self.p99_ms < deadline_ms


class LoadResult(Measured):
    """`wbc bench load`: the served product under requests, and beside it the bare session and the naive path.

    Attributes:
        bundle: that was served.
        images: where the pictures came from.
        endpoint: what was asked.
        settings: the server's settings that differ from their defaults.
        threads: of a forward pass in the service; the bare session has all cores unless both were told a number.
        provider: the execution provider of the bare session.
        bare: forward passes of the graph by batch size, nothing else running.
        naive: callers of the naive path; None where it was left out.
        single: one caller.
        saturated: by number of callers.
        deadline_ms: of the p99 that a rate is held with.
        trials: the search for the highest rate that is held, in the order of trying.
        overload: at `overload_factor` times that rate; None where no rate was held.
    """

    kind: Literal["load"] = "load"
    bundle: BundleUsed
    images: str
    endpoint: str
    settings: dict[str, str]
    threads: int
    provider: str
    bare: dict[int, Spread]
    naive: Traffic | None
    single: Traffic
    saturated: dict[int, Traffic]
    deadline_ms: float
    trials: list[Traffic]
    overload_factor: float
    overload: Traffic | None

    @property
    def held(self) -> Traffic | None:
        """The trial with the highest rate that was held."""
        held = (trial for trial in self.trials if trial.held(self.deadline_ms))
        return max(held, key=lambda trial: trial.rate or 0.0, default=None)

    @property
    def peak(self) -> float:
        """Largest throughput of a closed loop, answers a second."""
        return max(traffic.throughput for traffic in self.saturated.values())

    @property
    def bare_best(self) -> tuple[int, float]:
        """The batch size at which the bare session does most, and its images a second."""
        return best_batch(self.bare)


class PipelineSpeed(Result):
    """What `wbc data speed` found at one size; images a second where nothing else is said.

    Attributes:
        img_size: side in pixels at which the network is trained.
        decode: decoding a file, one thread.
        load: reading a decoded image from the cache, one thread.
        augment: one thread.
        prepare: framing, normalising and filtering, one thread.
        pipeline_cold: all of these with all threads, into an empty cache.
        pipeline: the same from a warm cache.
        step: training steps of phase 2, pipeline and network at once.
        load_share: one thread's seconds of loading from the warm cache, as a share of a step.
        pipeline_share: the warm pipeline's seconds as a share of a step.
        threads: that prepare images.
        images: that each number was measured on.
    """

    img_size: int
    decode: float
    load: float
    augment: float
    prepare: float
    pipeline_cold: float
    pipeline: float
    step: float
    load_share: float
    pipeline_share: float
    threads: int
    images: int


class PipelineResult(Measured):
    """`wbc bench pipeline`: training's input pipeline, alone and beside the training steps.

    Attributes:
        images: where the pictures came from.
        variant: the enhancement filter.
        batch_size: images a step.
        sizes: what was found, by size.
    """

    kind: Literal["pipeline"] = "pipeline"
    images: str
    variant: str
    batch_size: int
    sizes: list[PipelineSpeed]


R = TypeVar("R", bound=Measured)


def best_batch(forward: dict[int, Spread]) -> tuple[int, float]:
    """The batch size with the most images a second, and these."""
    speeds = {size: 1e3 * size / spread.median_ms for size, spread in forward.items()}
    best = max(speeds, key=speeds.__getitem__)
    return best, speeds[best]


def write(result: Measured, path: Path) -> None:
    """Write a result as JSON, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"new.{path.name}")
    new.write_text(result.model_dump_json(indent=2) + "\n")
    new.replace(path)


def read(kind: type[R], path: Path) -> R | None:
    """Read a result; None where there is none yet.

    Raises:
        DataError: the file is no result of this version.
    """
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} is no result of this version: {error}") from error
