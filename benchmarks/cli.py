"""The command `wbc bench`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchmarks.options import (
    AllOptions,
    BentoOptions,
    FilterOptions,
    LatencyOptions,
    LoadOptions,
    PipelineOptions,
    load_file,
)
from wbc.cli.options import build, given, options

if TYPE_CHECKING:
    from benchmarks.record import Measured
    from wbc.machine import Machine

    Measure = Callable[..., Measured]
    Result = TypeVar("Result", bound=Measured)

Chosen = TypeVar("Chosen", LatencyOptions, FilterOptions, LoadOptions, PipelineOptions, BentoOptions)


@click.group()
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure the speed of the stages, the filter, the served product and training's input pipeline.

    Each command writes a JSON file with the machine, the versions and the commit; `all` also updates the tables of
    docs/performance.md. Run them on an otherwise idle machine.
    """
    # Exit normally on SIGTERM, so that the servers that were started are stopped too.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    context.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


@bench.command()
@options(LatencyOptions)
def latency(**_: Any) -> None:
    """Time each stage of one image, and the forward pass by batch size."""
    from benchmarks.latency import measure_latency
    from benchmarks.tables import describe

    click.echo(describe(_run(LatencyOptions, measure_latency)))


@bench.command()
@options(FilterOptions)
def preprocessing(**_: Any) -> None:
    """Time every variant of the filter on images of 224x224 pixels, on one core."""
    from benchmarks.latency import measure_filters
    from benchmarks.tables import describe

    click.echo(describe(_run(FilterOptions, measure_filters)))


@bench.command()
@options(LoadOptions)
def load(**_: Any) -> None:
    """Load the served product: one caller, many callers, the highest sustained rate, and four times that rate.

    Starts the server, sends HTTP requests from a separate process, and measures the bare session and a naive Keras
    server in the same run for comparison.
    """
    from benchmarks.load import measure_load
    from benchmarks.tables import describe

    click.echo(describe(_run(LoadOptions, measure_load)))


@bench.command()
@options(PipelineOptions)
def pipeline(**_: Any) -> None:
    """Measure training's input pipeline alone and with the training steps, with a cold and a warm cache."""
    from benchmarks.pipeline import measure_pipeline
    from benchmarks.tables import describe

    click.echo(describe(_run(PipelineOptions, measure_pipeline)))


@bench.command("all")
@options(AllOptions)
def all_benchmarks(**_: Any) -> None:
    """Run every benchmark, write all results and update the tables of docs/performance.md."""
    from benchmarks import record, tables
    from benchmarks.latency import measure_filters, measure_latency
    from benchmarks.load import measure_load
    from benchmarks.pipeline import measure_pipeline
    from benchmarks.targets import Results
    from wbc.bundle import Bundle
    from wbc.machine import Machine
    from wbc.settings import settings

    chosen = build(AllOptions, given(click.get_current_context(), AllOptions))
    folder, machine, quick = chosen.results_dir, Machine.here(), chosen.quick
    served: dict[str, Any] = {"quick": quick, "images": chosen.images, "bundle": chosen.bundle}
    plan: list[tuple[Measure, LatencyOptions | FilterOptions | LoadOptions | PipelineOptions]] = [
        (measure_latency, LatencyOptions(**served, output=folder / "latency.json")),
        (measure_filters, FilterOptions(quick=quick, images=chosen.images, output=folder / "preprocessing.json")),
        (measure_load, LoadOptions(**served, output=folder / load_file("fp32"))),
    ]
    if "int8" in Bundle.load(chosen.bundle or settings().bundle).graphs:
        int8 = LoadOptions(**served, graph="int8", naive=False, output=folder / load_file("int8"))
        plan.append((measure_load, int8))
    training = PipelineOptions(quick=quick, data_root=chosen.data_root, output=folder / "pipeline.json")
    for measure, each in [*plan, (measure_pipeline, training)]:
        record.write(measure(each, machine, _log), each.output)
    tables.update_document(chosen.document, folder)
    click.echo(tables.make_tables(Results.load(folder))["targets"])


@bench.command()
@options(BentoOptions)
def bento(**_: Any) -> None:
    """Build, install and serve each variant of the Bento in a temporary environment, and measure its size."""
    from benchmarks.bento import list_bentos, measure_bentos

    click.echo(list_bentos(_run(BentoOptions, measure_bentos)))


def _run(model: type[Chosen], measure: Callable[[Chosen, Machine, Callable[[str], None]], Result]) -> Result:
    """Measure with the options of the command line, and write the result."""
    from benchmarks import record
    from wbc.machine import Machine

    chosen = build(model, given(click.get_current_context(), model))
    result = measure(chosen, Machine.here(), _log)
    record.write(result, chosen.output)
    return result


def _log(text: str) -> None:
    click.echo(f"{text} ...", err=True)
