"""Performance targets, compared with the results. Both numbers of a ratio come from the same run."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
BUDGET_MS, BUDGET_VARIANT, SIZE = 6.0, "v1", 224


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


def _check_load(load: LoadResult | None) -> list[Target]:
    naive = Target("throughput of the service with heatmap / naive server", f"at least {NAIVE_RATIO:g}x")
    single = Target("median latency for one caller / bare forward pass", f"at most {SINGLE_RATIO:g}x")
    saturated = Target("saturated throughput / bare session at its best batch size", f"at least {SATURATED_RATIO:.0%}")
    overload = Target("throughput at 4x the sustained rate / peak throughput", f"at least {OVERLOAD_RATIO:.0%}")
    statuses = Target("status codes at 4x the sustained rate", "only 200 and 429")
    if load is None:
        return [naive, single, saturated, overload, statuses]
    peak, (batch, bare) = load.peak, find_best_batch(load.bare)
    if load.naive is not None and load.naive.throughput > 0:
        ratio = peak / load.naive.throughput
        shown = f"{ratio:.1f}x ({peak:.1f} / {load.naive.throughput:.2f} images/s)"
        naive = replace(naive, measured=shown, met=ratio >= NAIVE_RATIO)
    if load.single.p50_ms is not None and 1 in load.bare:
        forward = load.bare[1].median_ms
        ratio = load.single.p50_ms / forward
        shown = f"{ratio:.2f}x ({load.single.p50_ms:.1f} / {forward:.1f} ms)"
        single = replace(single, measured=shown, met=ratio <= SINGLE_RATIO)
    shown = f"{peak / bare:.0%} ({peak:.1f} / {bare:.1f} images/s at batch size {batch})"
    saturated = replace(saturated, measured=shown, met=peak / bare >= SATURATED_RATIO)
    if load.overload is None:
        none = f"no rate had a p99 under {load.deadline_ms:g} ms"
        overload, statuses = (replace(target, measured=none, met=False) for target in (overload, statuses))
    else:
        ratio, served = load.overload.throughput / peak, load.overload.statuses
        shown = f"{ratio:.1%} ({load.overload.throughput:.1f} / {peak:.1f} images/s)"
        overload = replace(overload, measured=shown, met=ratio >= OVERLOAD_RATIO)
        shown = ", ".join(f"{load.overload.share(status):.1%} {status}" for status in served)
        statuses = replace(statuses, measured=shown, met=set(served) <= {"200", "429"})
    return [naive, single, saturated, overload, statuses]


def _check_filter(result: FilterResult | None) -> Target:
    target = Target(f"filter {BUDGET_VARIANT} at {SIZE}x{SIZE} pixels on one core, median", f"at most {BUDGET_MS:g} ms")
    if result is None:
        return target
    median = result.variants[BUDGET_VARIANT].median_ms
    return replace(target, measured=f"{median:.2f} ms", met=median <= BUDGET_MS)


def _check_int8(result: StageResult | None) -> Target:
    target = Target("throughput of int8 / fp32, each at its best batch size", f"at least {INT8_RATIO:g}x")
    if result is None:
        return target
    if not {"int8", "fp32"} <= set(result.forward):
        return replace(target, measured="not in this bundle")
    int8, fp32 = (find_best_batch(result.forward[graph])[1] for graph in ("int8", "fp32"))
    shown = f"{int8 / fp32:.2f}x ({int8:.1f} / {fp32:.1f} images/s)"
    return replace(target, measured=shown, met=int8 / fp32 >= INT8_RATIO)


def _check_pipeline(result: PipelineResult | None) -> list[Target]:
    what, wanted = "loading from the warm cache / training step", f"below {LOAD_SHARE:.0%}"
    if result is None:
        return [Target(what, wanted)]
    return [
        Target(
            f"{what} at {size['img_size']:g} pixels",
            wanted,
            f"{size['load_share']:.2%}",
            size["load_share"] < LOAD_SHARE,
        )
        for size in result.sizes
    ]
