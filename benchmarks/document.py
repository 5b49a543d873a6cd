"""The tables of docs/performance.md, from the result files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.record import (
    BundleUsed,
    FilterResult,
    LoadResult,
    Measured,
    PipelineResult,
    Spread,
    StageResult,
    Traffic,
    best_batch,
)
from benchmarks.targets import Results, load_file, targets
from wbc.errors import DataError
from wbc.markdown import table, with_tables

VERDICTS = {True: "met", False: "**missed**", None: "-"}


def tables(results: Results) -> Mapping[str, str]:
    """Each generated table by the name of its marks."""
    return {
        "targets": _targets(results),
        "runs": _runs(results) or _missing("all"),
        "stages": stages(results.latency) if results.latency else _missing("latency"),
        "forward": forward(results.latency) if results.latency else _missing("latency"),
        "filter": filters(results.preprocessing) if results.preprocessing else _missing("preprocessing"),
        "load": loads(results.loads) if results.loads else _missing("load"),
        "rates": rates(results.loads) if results.loads else _missing("load"),
        "pipeline": pipeline(results.pipeline) if results.pipeline else _missing("pipeline"),
    }


def with_results(text: str, results: Results) -> str:
    """The document with every table renewed.

    Raises:
        DataError: a table has no marks, or marks name no table.
    """
    return with_tables(text, tables(results))


def renew(document: Path, results: Results) -> None:
    """Renew the tables of a document.

    Raises:
        DataError: the document is not there, or its marks are others.
    """
    if not document.is_file():
        raise DataError(f"no document {document}")
    document.write_text(with_results(document.read_text(), results))


def _missing(command: str) -> str:
    return f"Not measured yet: `wbc bench {command}`."


def _targets(results: Results) -> str:
    rows = [(one.what, one.wanted, one.measured, VERDICTS[one.met]) for one in targets(results)]
    return table(("target", "wanted", "measured", ""), rows)


def _runs(results: Results) -> str:
    found: list[tuple[str, Measured]] = [
        (name, result)
        for name, result in (
            ("latency.json", results.latency),
            ("preprocessing.json", results.preprocessing),
            *((load_file(graph), load) for graph, load in results.loads.items()),
            ("pipeline.json", results.pipeline),
        )
        if result is not None
    ]
    head = ("file", "command", "UTC", "processor", "cores", "load before", "commit", "bundle", "pictures")
    rows = [(f"`{name}`", *_run(result)) for name, result in found]
    versions = {f"{name} {number}" for _, result in found for name, number in result.machine.versions.items()}
    return f"{table(head, rows)}\n\nVersions: {', '.join(sorted(versions))}." if rows else ""


def _run(result: Measured) -> tuple[str, ...]:
    machine = result.machine
    commit = "-" if machine.commit is None else f"`{machine.commit[:9]}`{' with changes' if machine.modified else ''}"
    bundle = getattr(result, "bundle", None)
    return (
        f"`{result.command}`" + (", **short run**" if result.quick else ""),
        machine.started.removesuffix("+00:00"),
        machine.cpu,
        str(machine.cores),
        f"{machine.load_average:g}",
        commit,
        f"{bundle.name} {bundle.version} (`{bundle.sha256[:12]}`)" if isinstance(bundle, BundleUsed) else "-",
        str(getattr(result, "images", "-")),
    )


def stages(found: StageResult) -> str:
    """A row a stage of one image's way."""
    rows = [(name, *_spread(spread)) for name, spread in found.stages.items()]
    first = next(iter(found.forward))
    rows += [(f"forward, batch {n}", *_spread(s)) for n, s in found.forward[first].items() if n in (1, 8, 32)]
    named = ", ".join(f"`{name}`" for name in found.available)
    return (
        f"{table(('stage', 'median, ms', 'p5 to p95, ms'), rows)}\n\nFilter of this bundle: "
        f"`{found.bundle.variant}`. Forward passes on `{found.providers[first]}`, {found.threads} threads. This build "
        f"of ONNX Runtime has {named}."
    )


def forward(found: StageResult) -> str:
    """A row a graph and batch size."""
    rows = []
    for graph, passes in found.forward.items():
        best, _ = best_batch(passes)
        provider = found.providers[graph].removesuffix("ExecutionProvider")
        for size, spread in passes.items():
            speed = f"{1e3 * size / spread.median_ms:.1f}"
            speed = f"**{speed}**" if size == best else speed
            rows.append((graph, provider, str(size), *_spread(spread), _ms(spread.median_ms / size), speed))
    absent = f"\n\nNot in this bundle: {', '.join(found.left_out)}." if found.left_out else ""
    return table(("graph", "on", "batch", "pass, ms", "p5 to p95, ms", "an image, ms", "images/s"), rows) + absent


def filters(found: FilterResult) -> str:
    """A row a variant of the filter."""
    return table(
        ("variant", "median, ms", "p5 to p95, ms"), [(f"`{name}`", *_spread(s)) for name, s in found.variants.items()]
    )


def loads(found: Mapping[str, LoadResult]) -> str:
    """A row a kind of load, by graph."""
    rows = []
    for graph, load in found.items():
        if load.naive is not None:
            rows.append(("naive Keras path", *_traffic(load.naive)))
        rows.append((f"{graph}, 1 caller", *_traffic(load.single)))
        rows += [(f"{graph}, {callers} callers", *_traffic(traffic)) for callers, traffic in load.saturated.items()]
        if load.held is not None:
            rows.append((f"{graph}, highest rate held", *_traffic(load.held)))
        if load.overload is not None:
            rows.append((f"{graph}, {load.overload_factor:g}x that rate", *_traffic(load.overload)))
    head = ("load", "due/s", "200s/s", "p50, ms", "p95, ms", "p99, ms", "answers", "mean batch", "generator, cores")
    reasons = {t.mean_batch_missing for load in found.values() for t in _all(load) if t.mean_batch_missing}
    missing = f"\n\nNo mean batch: {'; '.join(sorted(reasons))}." if reasons else ""
    return table(head, rows) + missing


def _all(load: LoadResult) -> list[Traffic]:
    return [load.single, *load.saturated.values(), *load.trials, *([load.overload] if load.overload else [])]


def rates(found: Mapping[str, LoadResult]) -> str:
    """A row a rate that was tried, by graph."""
    rows = [
        (graph, *_traffic(trial)[:-2], "yes" if trial.held(load.deadline_ms) else "no")
        for graph, load in found.items()
        for trial in sorted(load.trials, key=lambda trial: trial.rate or 0.0)
    ]
    head = ("graph", "due/s", "200s/s", "p50, ms", "p95, ms", "p99, ms", "answers", "held")
    return table(head, rows)


def pipeline(found: PipelineResult) -> str:
    """A row a size of the pictures; images a second."""
    columns = ("decode", "load", "augment", "prepare", "pipeline_cold", "pipeline", "step")
    rows = [
        (
            str(s.img_size),
            *(f"{getattr(s, column):.1f}" for column in columns),
            f"{s.load_share:.2%}",
            f"{s.pipeline_share:.1%}",
        )
        for s in found.sizes
    ]
    head = (
        "size",
        "decode",
        "load, warm",
        "augment",
        "prepare",
        "all, cold cache",
        "all, warm cache",
        "training step",
        "loading / step",
        "pipeline / step",
    )
    threads = found.sizes[0].threads if found.sizes else 0
    return (
        f"{table(head, rows)}\n\nFilter `{found.variant}`, batch {found.batch_size}; the first four on one thread, "
        f"the others with {threads}."
    )


def _traffic(traffic: Traffic) -> tuple[str, ...]:
    times = (traffic.p50_ms, traffic.p95_ms, traffic.p99_ms)
    return (
        "-" if traffic.rate is None else f"{traffic.rate:.1f}",
        f"{traffic.throughput:.2f}",
        *("-" if value is None else _ms(value) for value in times),
        ", ".join(f"{count} x {status}" for status, count in traffic.statuses.items()) or "none",
        "-" if traffic.mean_batch is None else f"{traffic.mean_batch:.1f}",
        f"{traffic.generator_cpu:.2f}",
    )


def _spread(spread: Spread) -> tuple[str, str]:
    return _ms(spread.median_ms), f"{_ms(spread.p5_ms)} to {_ms(spread.p95_ms)}"


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
