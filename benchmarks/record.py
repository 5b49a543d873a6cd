"""Results of the benchmarks, one JSON file each with the machine, the versions and the command."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from wbc.atomic import replaced_atomically
from wbc.bundle import Bundle
from wbc.errors import DataError
from wbc.machine import Machine
from wbc.settings import Graph

DECIMALS = 4


class Result(BaseModel):
    """Base class of the results: immutable, unknown fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(Result):
    """Fields that every result file has; `command` regenerates it, and a `quick` run is not a measurement."""

    command: str
    quick: bool
    machine: Machine


class BundleUsed(Result):
    """Model bundle and graph that were measured; `sha256` is that of the manifest, `variant` the filter."""

    name: str
    version: str
    sha256: str
    variant: str
    graph: Graph

    @classmethod
    def of(cls, bundle: Bundle, graph: Graph) -> BundleUsed:
        """Describe a loaded bundle."""
        return cls(
            name=bundle.manifest.name,
            version=bundle.manifest.version,
            sha256=bundle.sha256,
            variant=bundle.manifest.preprocessing.variant,
            graph=graph,
        )


class Spread(Result):
    """Median and percentiles of a repeated measurement, in milliseconds."""

    median_ms: float
    p5_ms: float
    p95_ms: float
    repeats: int

    @classmethod
    def of(cls, seconds: list[float]) -> Spread:
        """Summarise the seconds of each repeat."""
        p5, median, p95 = (round(1e3 * float(v), DECIMALS) for v in np.percentile(seconds, (5, 50, 95)))
        return cls(median_ms=median, p5_ms=p5, p95_ms=p95, repeats=len(seconds))


class StageResult(Measured):
    """`wbc bench latency`: the stages of one image, and the forward pass by batch size.

    Attributes:
        threads: of a forward pass.
        providers: execution provider of each graph.
        available: execution providers of this build of ONNX Runtime.
        stages: time per image of each stage.
        forward: time of a forward pass by graph and batch size.
        left_out: graphs that the bundle does not contain.
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
    """`wbc bench preprocessing`: time per image of each variant of the filter; `size` is the image size in pixels."""

    kind: Literal["preprocessing"] = "preprocessing"
    images: str
    size: int
    variants: dict[str, Spread]


class Traffic(Result):
    """Results of one load. Requests scheduled during the warm-up count only in `sent`.

    Attributes:
        arrivals: `poisson` or `constant` for an open load, `closed` for callers that wait for each response.
        rate: scheduled requests per second of an open load.
        callers: number of callers of a closed load.
        statuses: number of requests by status, or by error if there was no response.
        throughput: responses with status 200 per second.
        p50_ms, p95_ms, p99_ms: latency of the responses with status 200, counted from the scheduled time.
        send_lag_p99_ms: delay between the scheduled time and sending; part of the latency.
        generator_cpu: cores used by the load generator.
        mean_batch: images per forward pass, from the server's metrics; None without one.
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

    def share(self, status: str) -> float:
        """Return the share of the requests that had this status, 0 to 1."""
        return self.statuses.get(status, 0) / max(1, sum(self.statuses.values()))

    def meets(self, deadline_ms: float) -> bool:
        """Return true if every request had status 200, 99% of them within the deadline."""
        return set(self.statuses) == {"200"} and self.p99_ms is not None and self.p99_ms < deadline_ms


class LoadResult(Measured):
    """`wbc bench load`: the served product under load, the bare session and the naive server.

    Attributes:
        endpoint: path and query of the requests.
        settings: settings of the server that differ from the defaults.
        threads: of a forward pass in the service; the bare session uses all cores unless `WBC_THREADS` is set.
        provider: execution provider of the bare session.
        bare: time of a forward pass without the server, by batch size.
        naive: load on the naive server; None if it was left out.
        single: load of one caller.
        saturated: closed loads by number of callers.
        deadline_ms: limit of the p99 of a sustained rate.
        trials: the search for the highest sustained rate, in order.
        overload: load at `overload_factor` times that rate; None if no rate was sustained.
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
    def sustained(self) -> Traffic | None:
        """The trial with the highest sustained rate."""
        sustained = (trial for trial in self.trials if trial.meets(self.deadline_ms))
        return max(sustained, key=lambda trial: trial.rate or 0.0, default=None)

    @property
    def peak(self) -> float:
        """Highest throughput of a closed load."""
        return max(traffic.throughput for traffic in self.saturated.values())


class PipelineResult(Measured):
    """`wbc bench pipeline`: training's input pipeline; `sizes` holds the results of `wbc data speed` by image size."""

    kind: Literal["pipeline"] = "pipeline"
    images: str
    variant: str
    batch_size: int
    sizes: list[dict[str, float]]


R = TypeVar("R", bound=Measured)


def find_best_batch(forward: dict[int, Spread]) -> tuple[int, float]:
    """Return the batch size with the highest throughput, and that throughput in images per second."""
    speeds = {size: 1e3 * size / spread.median_ms for size, spread in forward.items()}
    best = max(speeds, key=speeds.__getitem__)
    return best, speeds[best]


def write(result: Measured, path: Path) -> None:
    """Write a result as JSON, replacing the file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replaced_atomically(path) as new:
        new.write_text(result.model_dump_json(indent=2) + "\n")


def read(kind: type[R], path: Path) -> R | None:
    """Read a result; returns None if the file does not exist.

    Raises:
        DataError: the file does not have the current format.
    """
    if not path.is_file():
        return None
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise DataError(f"{path} does not have the current result format: {error}") from error
