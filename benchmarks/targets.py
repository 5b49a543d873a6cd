"""Performance targets, compared with the results. Both numbers of a ratio come from the same run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.options import load_file
from benchmarks.record import FilterResult, LoadResult, PipelineResult, StageResult, find_best_batch, read
from wbc.bundle import GRAPHS

NAIVE_RATIO = 20.0
SINGLE_RATIO = 2.0
SATURATED_RATIO = 0.7
OVERLOAD_RATIO = 0.9
INT8_RATIO = 1.8
LOAD_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class Target:
    """A performance target; `met` is None if it was not measured."""

    what: str
    wanted: str
    measured: str = "not measured yet"
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """Results of a folder; None if not measured yet. `loads` has a result per graph."""

    latency: StageResult | None
    preprocessing: FilterResult | None
    loads: dict[str, LoadResult]
    pipeline: PipelineResult | None

    @classmethod
    def load(cls, folder: Path) -> Results:
        """Read the result files of a folder.

        Raises:
            DataError: a file does not have the current format.
        """
        loads = {graph: read(LoadResult, folder / load_file(graph)) for graph in GRAPHS}
        return cls(
            read(StageResult, folder / "latency.json"),
            read(FilterResult, folder / "preprocessing.json"),
            {graph: load for graph, load in loads.items() if load is not None},
            read(PipelineResult, folder / "pipeline.json"),
        )


def check_targets(results: Results) -> list[Target]:
    """Compare every target with the results."""
    return [
        *_check_load(results.loads.get("fp32")),
        _check_filter(results.preprocessing),
        _check_int8(results.latency),
        *_check_pipeline(results.pipeline),
    ]


def _check_load(load: LoadResult | None) -> Iterator[Target]:
    naive = "throughput of the service with heatmap / naive server", f"at least {NAIVE_RATIO:g}x"
    single = "median latency for one caller / bare forward pass", f"at most {SINGLE_RATIO:g}x"
    saturated = "saturated throughput / bare session at its best batch size", f"at least {SATURATED_RATIO:.0%}"
    overload = "throughput at 4x the sustained rate / peak throughput", f"at least {OVERLOAD_RATIO:.0%}"
    statuses = "status codes at 4x the sustained rate", "only 200 and 429"
    if load is None:
        yield from (Target(*one) for one in (naive, single, saturated, overload, statuses))
        return
    peak, (batch, bare) = load.peak, find_best_batch(load.bare)
    if load.naive is None or load.naive.throughput == 0:
        yield Target(*naive)
    else:
        ratio = peak / load.naive.throughput
        yield Target(*naive, f"{ratio:.1f}x ({peak:.1f} / {load.naive.throughput:.2f} images/s)", ratio >= NAIVE_RATIO)
    if load.single.p50_ms is None or 1 not in load.bare:
        yield Target(*single)
    else:
        forward = load.bare[1].median_ms
        ratio = load.single.p50_ms / forward
        yield Target(*single, f"{ratio:.2f}x ({load.single.p50_ms:.1f} / {forward:.1f} ms)", ratio <= SINGLE_RATIO)
    ratio = peak / bare
    yield Target(
        *saturated, f"{ratio:.0%} ({peak:.1f} / {bare:.1f} images/s at batch size {batch})", ratio >= SATURATED_RATIO
    )
    if load.overload is None:
        none = f"no rate had a p99 under {load.deadline_ms:g} ms"
        yield from (Target(*one, none, False) for one in (overload, statuses))
        return
    ratio = load.overload.throughput / peak
    yield Target(
        *overload, f"{ratio:.1%} ({load.overload.throughput:.1f} / {peak:.1f} images/s)", ratio >= OVERLOAD_RATIO
    )
    shares = ", ".join(f"{load.overload.share(status):.1%} {status}" for status in load.overload.statuses)
    yield Target(*statuses, shares, set(load.overload.statuses) <= {"200", "429"})


def _check_filter(result: FilterResult | None) -> Target:
    if result is None:
        return Target("filter v1 at 224x224 pixels on one core, median", "at most 6 ms")
    median = result.variants[result.budget_variant].median_ms
    return Target(
        f"filter {result.budget_variant} at {result.size}x{result.size} pixels on one core, median",
        f"at most {result.budget_ms:g} ms",
        f"{median:.2f} ms",
        median <= result.budget_ms,
    )


def _check_int8(result: StageResult | None) -> Target:
    target = "throughput of int8 / fp32, each at its best batch size", f"at least {INT8_RATIO:g}x"
    if result is None:
        return Target(*target)
    if not {"int8", "fp32"} <= set(result.forward):
        return Target(*target, "not in this bundle")
    int8, fp32 = (find_best_batch(result.forward[graph])[1] for graph in ("int8", "fp32"))
    return Target(*target, f"{int8 / fp32:.2f}x ({int8:.1f} / {fp32:.1f} images/s)", int8 / fp32 >= INT8_RATIO)


def _check_pipeline(result: PipelineResult | None) -> Iterator[Target]:
    what, wanted = "loading from the warm cache / training step", f"below {LOAD_SHARE:.0%}"
    if result is None:
        yield Target(what, wanted)
        return
    for size in result.sizes:
        share = size["load_share"]
        yield Target(f"{what} at {size['img_size']:g} pixels", wanted, f"{share:.2%}", share < LOAD_SHARE)
