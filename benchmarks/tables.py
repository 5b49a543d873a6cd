"""Tables of docs/performance.md and docs/scoring.md, made from the result files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path

from benchmarks.options import RESULTS, load_file
from benchmarks.record import (
    BundleUsed,
    FilterResult,
    LoadResult,
    Measured,
    PipelineResult,
    Spread,
    StageResult,
    Traffic,
    find_best_batch,
)
from benchmarks.targets import Results, check_targets
from wbc.tables import Table
from wbc.tables import update_document as run_cog

VERDICTS = {True: "met", False: "**missed**", None: "-"}
SPREAD = ("median, ms", "p5 to p95, ms")
PIPELINE = {
    "img_size": "size",
    "decode": "decode",
    "load": "load, warm cache",
    "augment": "augment",
    "prepare": "prepare",
    "pipeline_cold": "pipeline, cold cache",
    "pipeline": "pipeline, warm cache",
    "step": "training step",
    "load_share": "load / step",
    "pipeline_share": "pipeline / step",
}


_folder: ContextVar[Path] = ContextVar("folder", default=RESULTS)


def show(name: str) -> str:
    """Return a table of docs/performance.md for a cog block, with empty lines around it.

    Raises:
        DataError: a result file does not have the current format.
    """
    return f"\n{make_tables(Results.load(_folder.get()))[name]}\n"


def update_document(document: Path, folder: Path) -> None:
    """Update the cog blocks of a document from the results in a folder.

    Raises:
        DataError: the document does not exist or has an invalid block.
    """
    token = _folder.set(folder)
    try:
        run_cog(document)
    finally:
        _folder.reset(token)


def make_tables(results: Results) -> dict[str, str]:
    """Return every table of docs/performance.md by name."""
    latency, filters, pipeline = results.latency, results.preprocessing, results.pipeline
    targets = [(target.what, target.wanted, target.measured, VERDICTS[target.met]) for target in check_targets(results)]
    return {
        "targets": Table(("target", "wanted", "measured", ""), targets).markdown(),
        "runs": list_runs(results),
        "stages": list_stages(latency) if latency else _missing("latency"),
        "forward": list_forward_passes(latency) if latency else _missing("latency"),
        "filter": list_filters(filters) if filters else _missing("preprocessing"),
        "load": list_loads(results.loads) if results.loads else _missing("load"),
        "rates": list_rates(results.loads) if results.loads else _missing("load"),
        "pipeline": list_pipeline(pipeline) if pipeline else _missing("pipeline"),
    }


def describe(result: Measured) -> str:
    """Return the tables of one result."""
    match result:
        case StageResult():
            return f"{list_stages(result)}\n\n{list_forward_passes(result)}"
        case FilterResult():
            return list_filters(result)
        case LoadResult():
            loads: dict[str, LoadResult] = {result.bundle.graph: result}
            return f"{list_loads(loads)}\n\n{list_rates(loads)}"
        case PipelineResult():
            return list_pipeline(result)
    raise TypeError(f"no table for {type(result).__name__}")


def _missing(command: str) -> str:
    return f"Not measured yet: `wbc bench {command}`."


def list_runs(results: Results) -> str:
    """Return one row per result file."""
    files: dict[str, Measured | None] = {
        "latency.json": results.latency,
        "preprocessing.json": results.preprocessing,
        **{load_file(graph): load for graph, load in results.loads.items()},
        "pipeline.json": results.pipeline,
    }
    found = {name: result for name, result in files.items() if result is not None}
    head = ("file", "command", "UTC", "processor", "cores", "load before", "commit", "bundle", "images")
    versions = {f"{name} {number}" for result in found.values() for name, number in result.machine.versions.items()}
    rows = [(f"`{name}`", *_describe_run(result)) for name, result in found.items()]
    return f"{Table(head, rows).markdown()}\n\nVersions: {', '.join(sorted(versions))}." if rows else _missing("all")


def _describe_run(result: Measured) -> tuple[object, ...]:
    machine = result.machine
    commit = "-" if machine.commit is None else f"`{machine.commit[:9]}`{' with changes' if machine.modified else ''}"
    bundle = getattr(result, "bundle", None)
    return (
        f"`{result.command}`" + (", **short run**" if result.quick else ""),
        machine.started.removesuffix("+00:00"),
        machine.cpu,
        machine.cores,
        f"{machine.load_average:g}",
        commit,
        f"{bundle.name} {bundle.version} (`{bundle.sha256[:12]}`)" if isinstance(bundle, BundleUsed) else "-",
        getattr(result, "images", "-"),
    )


def list_stages(result: StageResult) -> str:
    """Return one row per stage of an image."""
    rows = [(name, *_format_spread(spread)) for name, spread in result.stages.items()]
    first = next(iter(result.forward))
    rows += [(f"forward, batch {n}", *_format_spread(s)) for n, s in result.forward[first].items() if n in (1, 8, 32)]
    return (
        f"{Table(('stage', *SPREAD), rows).markdown()}\n\nFilter of this bundle: `{result.bundle.variant}`. "
        f"Forward passes on `{result.providers[first]}`, {result.threads} threads. "
        f"Execution providers of this build of ONNX Runtime: {', '.join(f'`{name}`' for name in result.available)}."
    )


def list_forward_passes(result: StageResult) -> str:
    """Return one row per graph and batch size, the highest throughput of each graph in bold."""
    rows = []
    for graph, passes in result.forward.items():
        best, _ = find_best_batch(passes)
        provider = result.providers[graph].removesuffix("ExecutionProvider")
        for size, spread in passes.items():
            speed = f"{1e3 * size / spread.median_ms:.1f}"
            speed = f"**{speed}**" if size == best else speed
            rows.append((graph, provider, size, *_format_spread(spread), _format_ms(spread.median_ms / size), speed))
    absent = f"\n\nNot in this bundle: {', '.join(result.left_out)}." if result.left_out else ""
    return (
        Table(("graph", "on", "batch", "pass, ms", "p5 to p95, ms", "per image, ms", "images/s"), rows).markdown()
        + absent
    )


def list_filters(result: FilterResult) -> str:
    """Return one row per variant of the filter."""
    return Table(
        ("variant", *SPREAD), [(f"`{name}`", *_format_spread(s)) for name, s in result.variants.items()]
    ).markdown()


def list_loads(loads: Mapping[str, LoadResult]) -> str:
    """Return one row per load, by graph."""
    rows: list[tuple[str, ...]] = []
    for graph, load in loads.items():
        named = {
            "naive Keras server": load.naive,
            f"{graph}, 1 caller": load.single,
            **{f"{graph}, {callers} callers": traffic for callers, traffic in load.saturated.items()},
            f"{graph}, highest sustained rate": load.sustained,
            f"{graph}, {load.overload_factor:g}x that rate": load.overload,
        }
        rows += [(name, *_format_traffic(traffic)) for name, traffic in named.items() if traffic is not None]
    columns = ("scheduled/s", "200s/s", "p50, ms", "p95, ms", "p99, ms", "responses", "mean batch", "generator, cores")
    return Table(("load", *columns), rows).markdown()


def list_rates(loads: Mapping[str, LoadResult]) -> str:
    """Return one row per rate that was tried, by graph."""
    rows = [
        (graph, *_format_traffic(trial)[:-2], "yes" if trial.meets(load.deadline_ms) else "no")
        for graph, load in loads.items()
        for trial in sorted(load.trials, key=lambda trial: trial.rate or 0.0)
    ]
    columns = ("scheduled/s", "200s/s", "p50, ms", "p95, ms", "p99, ms", "responses", "sustained")
    return Table(("graph", *columns), rows).markdown()


def list_pipeline(result: PipelineResult) -> str:
    """Return one row per image size, in images per second."""
    forms = {"img_size": "{:g}", "load_share": "{:.2%}", "pipeline_share": "{:.1%}"}
    rows = [[forms.get(key, "{:.1f}").format(size[key]) for key in PIPELINE] for size in result.sizes]
    return (
        f"{Table(PIPELINE.values(), rows).markdown()}\n\nFilter `{result.variant}`, batch size {result.batch_size}; "
        f"decode, load, augment and prepare on one thread, the others on {result.sizes[0]['threads']:g}."
    )


def show_scores() -> str:
    """Return the table of docs/scoring.md for a cog block."""
    runs = json.loads((RESULTS / "score.json").read_text())["runs"]
    rows = [
        (
            r["engine"],
            r["workers"],
            r["images"],
            f"{r['images_per_second']:.1f}",
            f"{r['images_per_second_steady']:.1f}",
        )
        for r in runs
    ]
    return f"\n{Table(('engine', 'workers', 'images', 'images/s', 'without the start'), rows).markdown()}\n"


def _format_traffic(traffic: Traffic) -> tuple[str, ...]:
    times = (traffic.p50_ms, traffic.p95_ms, traffic.p99_ms)
    return (
        "-" if traffic.rate is None else f"{traffic.rate:.1f}",
        f"{traffic.throughput:.2f}",
        *("-" if value is None else _format_ms(value) for value in times),
        ", ".join(f"{count} x {status}" for status, count in traffic.statuses.items()) or "none",
        "-" if traffic.mean_batch is None else f"{traffic.mean_batch:.1f}",
        f"{traffic.generator_cpu:.2f}",
    )


def _format_spread(spread: Spread) -> tuple[str, str]:
    return _format_ms(spread.median_ms), f"{_format_ms(spread.p5_ms)} to {_format_ms(spread.p95_ms)}"


def _format_ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
