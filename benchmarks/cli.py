"""The command `wbc bench`."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from benchmarks.options import (
    RESULTS,
    AllOptions,
    FilterOptions,
    LatencyOptions,
    LoadOptions,
    PipelineOptions,
    load_file,
)
from wbc.cli.options import build, given, options

if TYPE_CHECKING:
    from benchmarks.bento import Variant
    from benchmarks.record import Machine, Measured

Chosen = TypeVar("Chosen", LatencyOptions, FilterOptions, LoadOptions, PipelineOptions, AllOptions)
VARIANTS = click.Choice(["full", "slim", "gpu"])
FILE = click.Path(dir_okay=False, path_type=Path)


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
    _run(_parse(LatencyOptions))


@bench.command()
@options(FilterOptions)
def preprocessing(**_: Any) -> None:
    """Time every variant of the filter on images of 224x224 pixels, on one core."""
    _run(_parse(FilterOptions))


@bench.command()
@options(LoadOptions)
def load(**_: Any) -> None:
    """Load the served product: one caller, many callers, the highest sustained rate, and four times that rate.

    Starts the server, sends HTTP requests from a separate process, and measures the bare session and a naive Keras
    server in the same run for comparison.
    """
    _run(_parse(LoadOptions))


@bench.command()
@options(PipelineOptions)
def pipeline(**_: Any) -> None:
    """Measure training's input pipeline alone and with the training steps, with a cold and a warm cache."""
    _run(_parse(PipelineOptions))


@bench.command("all")
@options(AllOptions)
def all_benchmarks(**_: Any) -> None:
    """Run every benchmark, write all results and update the tables of docs/performance.md."""
    from benchmarks import tables
    from benchmarks.record import Machine
    from benchmarks.targets import Results
    from wbc.bundle import Bundle
    from wbc.settings import settings

    chosen = _parse(AllOptions)
    graphs = Bundle.load(chosen.bundle or settings().bundle).graphs
    folder, machine = chosen.results_dir, Machine.here()
    same: dict[str, Any] = {"quick": chosen.quick, "images": chosen.images}
    served: dict[str, Any] = {**same, "bundle": chosen.bundle}
    _measure(LatencyOptions(**served, output=folder / "latency.json"), machine)
    _measure(FilterOptions(**same, output=folder / "preprocessing.json"), machine)
    _measure(LoadOptions(**served, output=folder / load_file("fp32")), machine)
    if "int8" in graphs:
        _measure(LoadOptions(**served, graph="int8", naive=False, output=folder / load_file("int8")), machine)
    training = PipelineOptions(quick=chosen.quick, data_root=chosen.data_root, output=folder / "pipeline.json")
    _measure(training, machine)
    tables.update_document(chosen.document, folder)
    click.echo(tables.make_tables(Results.load(folder))["targets"])


@bench.command()
@click.option("--variant", "variants", multiple=True, type=VARIANTS, help="Variant, repeatable.  [default: all]")
@click.option("--output", type=FILE, help="Result file, JSON.  [default: results/bench/bento.json]")
def bento(*, variants: tuple[Variant, ...], output: Path | None) -> None:
    """Build, install and serve each variant of the Bento in a temporary environment, and measure its size."""
    from benchmarks import record
    from benchmarks.bento import SPECS, list_bentos, measure_bentos
    from benchmarks.record import Machine

    result = measure_bentos(variants or tuple(SPECS), Machine.here())
    record.write(result, output or RESULTS / "bento.json")
    click.echo(list_bentos(result))


def _parse(model: type[Chosen]) -> Chosen:
    return build(model, given(click.get_current_context(), model))


def _run(chosen: LatencyOptions | FilterOptions | LoadOptions | PipelineOptions) -> None:
    from benchmarks import tables
    from benchmarks.record import Machine

    click.echo(tables.describe(_measure(chosen, Machine.here())))


def _measure(chosen: LatencyOptions | FilterOptions | LoadOptions | PipelineOptions, machine: Machine) -> Measured:
    """Run one benchmark and write its result."""
    from benchmarks import record
    from benchmarks.latency import measure_filters, measure_latency
    from benchmarks.load import measure_load
    from benchmarks.pipeline import measure_pipeline

    result: Measured
    match chosen:
        case LatencyOptions():
            result = measure_latency(chosen, machine)
        case FilterOptions():
            result = measure_filters(chosen, machine)
        case LoadOptions():
            result = measure_load(chosen, machine, _log)
        case PipelineOptions():
            result = measure_pipeline(chosen, machine, _log)
    record.write(result, chosen.output)
    return result


def _log(text: str) -> None:
    click.echo(f"{text} ...", err=True)
