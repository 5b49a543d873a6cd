"""What was promised of speed, and whether the results keep it. Every ratio is of numbers of one run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.record import FilterResult, LoadResult, PipelineResult, StageResult, best_batch, read
from wbc.bundle import GRAPHS

NAIVE_RATIO = 20.0
"""Throughput of the service over that of the naive path, at least."""
SINGLE_RATIO = 2.0
"""Median answer of one caller over the bare forward pass, at most."""
SATURATED_RATIO = 0.7
"""Throughput of the saturated service over the bare session's at its best batch size, at least."""
OVERLOAD_RATIO = 0.9
"""Throughput under overload over the peak, at least."""
INT8_RATIO = 1.8
"""Images a second of the int8 graph over the fp32 graph's, each at its best batch size, at least."""
LOAD_SHARE = 0.15
"""Share of a training step that loading from the warm cache takes, below."""


@dataclass(frozen=True, slots=True)
class Target:
    """One promise.

    Attributes:
        what: is compared.
        wanted: in words.
        measured: in words.
        met: whether it is kept; None where it was not measured.
    """

    what: str
    wanted: str
    measured: str = "not measured yet"
    met: bool | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """The results in a folder; None for what was not measured yet.

    Attributes:
        latency: `latency.json`.
        preprocessing: `preprocessing.json`.
        loads: by graph, `load.json` of fp32 and `load-GRAPH.json` of the others.
        pipeline: `pipeline.json`.
    """

    latency: StageResult | None
    preprocessing: FilterResult | None
    loads: dict[str, LoadResult]
    pipeline: PipelineResult | None

    @classmethod
    def in_folder(cls, folder: Path) -> Results:
        """Read a folder.

        Raises:
            DataError: a file is no result of this version.
        """
        loads = {graph: read(LoadResult, folder / load_file(graph)) for graph in GRAPHS}
        return cls(
            read(StageResult, folder / "latency.json"),
            read(FilterResult, folder / "preprocessing.json"),
            {graph: load for graph, load in loads.items() if load is not None},
            read(PipelineResult, folder / "pipeline.json"),
        )


def load_file(graph: str) -> str:
    """Name of the file for the load of a graph."""
    return "load.json" if graph == "fp32" else f"load-{graph}.json"


def targets(results: Results) -> list[Target]:
    """Every promise, judged by the results."""
    judged = [*_of_load(results.loads.get("fp32")), _of_filter(results.preprocessing), _of_int8(results.latency)]
    sizes = results.pipeline.sizes if results.pipeline else []
    what, wanted = "loading from the warm cache, share of a training step", f"below {LOAD_SHARE:.0%}"
    judged += [
        Target(f"{what} at {s.img_size} pixels", wanted, f"{s.load_share:.2%}", s.load_share < LOAD_SHARE)
        for s in sizes
    ] or [Target(what, wanted)]
    return judged


def _of_load(load: LoadResult | None) -> list[Target]:
    naive = Target("service with heatmap, throughput over the naive path's", f"at least {NAIVE_RATIO:g}x")
    single = Target("one caller, median answer over the bare forward pass", f"at most {SINGLE_RATIO:g}x")
    saturated = Target(
        "saturated throughput over the bare session's at its best batch size", f"at least {SATURATED_RATIO:.0%}"
    )
    overload = Target("throughput at 4x the sustainable rate over the peak", f"at least {OVERLOAD_RATIO:.0%}")
    refused = Target("answers at 4x the sustainable rate", "200 and 429 alone")
    if load is None:
        return [naive, single, saturated, overload, refused]
    peak, (batch, bare) = load.peak, load.bare_best
    if load.naive is not None and load.naive.throughput > 0:
        ratio = peak / load.naive.throughput
        words = f"{ratio:.1f}x ({peak:.1f} over {load.naive.throughput:.2f} images/s)"
        naive = Target(naive.what, naive.wanted, words, ratio >= NAIVE_RATIO)
    if load.single.p50_ms is not None and 1 in load.bare:
        forward = load.bare[1].median_ms
        ratio = load.single.p50_ms / forward
        words = f"{ratio:.2f}x ({load.single.p50_ms:.1f} over {forward:.1f} ms)"
        single = Target(single.what, single.wanted, words, ratio <= SINGLE_RATIO)
    words = f"{peak / bare:.0%} ({peak:.1f} of {bare:.1f} images/s at batch {batch})"
    saturated = Target(saturated.what, saturated.wanted, words, peak / bare >= SATURATED_RATIO)
    if load.overload is None:
        none = f"no rate was held with p99 under {load.deadline_ms:g} ms"
        return [naive, single, saturated, *(Target(t.what, t.wanted, none, False) for t in (overload, refused))]
    ratio = load.overload.throughput / peak
    words = f"{ratio:.1%} ({load.overload.throughput:.1f} of {peak:.1f} images/s)"
    overload = Target(overload.what, overload.wanted, words, ratio >= OVERLOAD_RATIO)
    words = ", ".join(f"{load.overload.share(status):.1%} {status}" for status in load.overload.statuses)
    refused = Target(refused.what, refused.wanted, words, set(load.overload.statuses) <= {"200", "429"})
    return [naive, single, saturated, overload, refused]


def _of_filter(result: FilterResult | None) -> Target:
    if result is None:
        return Target("filter v1 at 224x224 pixels on one core, median", "at most 6 ms")
    median = result.variants[result.budget_variant].median_ms
    return Target(
        f"filter {result.budget_variant} at {result.size}x{result.size} pixels on one core, median",
        f"at most {result.budget_ms:g} ms",
        f"{median:.2f} ms",
        median <= result.budget_ms,
    )


def _of_int8(result: StageResult | None) -> Target:
    what = "int8 graph, images a second over the fp32 graph's, each at its best batch size"
    wanted = f"at least {INT8_RATIO:g}x"
    if result is None:
        return Target(what, wanted)
    if "int8" not in result.forward or "fp32" not in result.forward:
        return Target(what, wanted, "not in this bundle")
    int8, fp32 = (best_batch(result.forward[graph])[1] for graph in ("int8", "fp32"))
    return Target(what, wanted, f"{int8 / fp32:.2f}x ({int8:.1f} over {fp32:.1f} images/s)", int8 / fp32 >= INT8_RATIO)
