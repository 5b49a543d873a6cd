"""`wbc bench`: how fast it is, as JSON and as the tables of docs/performance.md."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import click

from wbc.settings import REPOSITORY, Graph, settings

if TYPE_CHECKING:
    from benchmarks.latency import LatencyConfig
    from benchmarks.load import LoadConfig
    from benchmarks.pipeline import PipelineConfig

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
RESULTS = REPOSITORY / "results" / "bench"
DOCUMENT = REPOSITORY / "docs" / "performance.md"
GRAPH_NAMES = get_args(Graph)

BUNDLE = click.option("--bundle", type=FOLDER, help="Folder of the model bundle.  [default: WBC_BUNDLE]")
IMAGES = click.option("--images", type=FOLDER, help="Folder of image files.  [default: drawn cells]")
DATA_ROOT = click.option("--data-root", type=FOLDER, help="Folder of the splits.  [default: drawn cells]")
QUICK = click.option("--quick", is_flag=True, help="A short run: shows that everything runs, measures nothing well.")


def _output(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    shown = f"results/bench/{name}"
    return click.option("--output", type=FILE, help=f"Where the result is written, JSON.  [default: {shown}]")


@click.group()
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure how fast it is: stages, filter, the served product under load, training's input pipeline.

    Each command writes one JSON file with the machine, the versions and the commit; `all` also renews the tables of
    docs/performance.md. Run them on a machine that does nothing else.
    """
    # A terminated benchmark ends the servers that it started, as an interrupted one does.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    context.call_on_close(lambda: signal.signal(signal.SIGTERM, before))


@bench.command()
@BUNDLE
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    type=click.Choice(GRAPH_NAMES),
    help="Graph to time, repeatable.  [default: all]",
)
@IMAGES
@_output("latency.json")
@QUICK
def latency(
    *, bundle: Path | None, graphs: tuple[Graph, ...], images: Path | None, output: Path | None, quick: bool
) -> None:
    """Time the stages of one image's way apart, and the bare forward pass by batch size."""
    from benchmarks import document, record
    from benchmarks.latency import measure_latency
    from benchmarks.machine import Machine

    config = _latency_config(bundle, graphs, images, quick)
    result = measure_latency(config, Machine.here())
    record.write(result, output or RESULTS / "latency.json")
    click.echo(f"{document.stages(result)}\n\n{document.forward(result)}")


@bench.command()
@IMAGES
@_output("preprocessing.json")
@QUICK
def preprocessing(*, images: Path | None, output: Path | None, quick: bool) -> None:
    """Time every variant of the filter on pictures of 224x224 pixels, on one core."""
    from benchmarks import document, record
    from benchmarks.machine import Machine
    from benchmarks.preprocessing import measure_preprocessing

    result = measure_preprocessing(images, Machine.here(), quick=quick)
    record.write(result, output or RESULTS / "preprocessing.json")
    click.echo(document.filters(result))


@bench.command()
@BUNDLE
@click.option(
    "--graph", type=click.Choice(GRAPH_NAMES), default="fp32", show_default=True, help="Graph that is served."
)
@IMAGES
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant"]),
    default="poisson",
    show_default=True,
    help="Gaps between the requests of an open load.",
)
@click.option("--naive/--no-naive", default=True, show_default=True, help="Measure the naive Keras path beside it.")
@_output("load.json, or load-GRAPH.json")
@QUICK
def load(
    *,
    bundle: Path | None,
    graph: Graph,
    images: Path | None,
    arrivals: Literal["poisson", "constant"],
    naive: bool,
    output: Path | None,
    quick: bool,
) -> None:
    """Put the served product under load: one caller, many, the highest rate that is held, and four times that.

    Starts the server itself, sends real HTTP from another process, and measures the bare session and a naive Keras
    path beside it in the same run.
    """
    from benchmarks import document, record
    from benchmarks.load import measure_load
    from benchmarks.machine import Machine
    from benchmarks.targets import load_file

    config = _load_config(bundle, images, quick)
    config = replace(config, graph=graph, arrivals=arrivals, naive=naive)
    result = measure_load(config, Machine.here(), _say)
    record.write(result, output or RESULTS / load_file(graph))
    click.echo(f"{document.loads({graph: result})}\n\n{document.rates({graph: result})}")


@bench.command()
@DATA_ROOT
@_output("pipeline.json")
@QUICK
def pipeline(*, data_root: Path | None, output: Path | None, quick: bool) -> None:
    """Measure training's input pipeline alone and beside the training steps, with a cold and a warm cache."""
    from benchmarks import document, record
    from benchmarks.machine import Machine
    from benchmarks.pipeline import measure_pipeline

    result = measure_pipeline(_pipeline_config(data_root, quick), Machine.here(), _say)
    record.write(result, output or RESULTS / "pipeline.json")
    click.echo(document.pipeline(result))


@bench.command("all")
@BUNDLE
@IMAGES
@DATA_ROOT
@click.option(
    "--results-dir",
    type=FOLDER,
    default=RESULTS,
    help="Folder for the results, one JSON file each.  [default: results/bench]",
)
@click.option(
    "--document",
    "document_file",
    type=FILE,
    default=DOCUMENT,
    help="Markdown file whose tables are renewed.  [default: docs/performance.md]",
)
@QUICK
def all_benchmarks(
    *,
    bundle: Path | None,
    images: Path | None,
    data_root: Path | None,
    results_dir: Path,
    document_file: Path,
    quick: bool,
) -> None:
    """Run everything in one run, write all results and renew the tables of docs/performance.md."""
    from benchmarks import document, record
    from benchmarks.latency import measure_latency
    from benchmarks.load import measure_load
    from benchmarks.machine import Machine
    from benchmarks.pipeline import measure_pipeline
    from benchmarks.preprocessing import measure_preprocessing
    from benchmarks.targets import Results, load_file

    machine = Machine.here()
    _say("stages")
    stages = measure_latency(_latency_config(bundle, (), images, quick), machine)
    record.write(stages, results_dir / "latency.json")
    _say("filter")
    record.write(measure_preprocessing(images, machine, quick=quick), results_dir / "preprocessing.json")
    config = _load_config(bundle, images, quick)
    record.write(measure_load(config, machine, _say), results_dir / load_file("fp32"))
    if "int8" in stages.forward:
        _say("int8")
        beside = replace(config, graph="int8", naive=False)
        record.write(measure_load(beside, machine, _say), results_dir / load_file("int8"))
    record.write(measure_pipeline(_pipeline_config(data_root, quick), machine, _say), results_dir / "pipeline.json")
    results = Results.in_folder(results_dir)
    document.renew(document_file, results)
    click.echo(document.tables(results)["targets"])


def _latency_config(bundle: Path | None, graphs: tuple[Graph, ...], images: Path | None, quick: bool) -> LatencyConfig:
    from benchmarks.latency import LatencyConfig

    chosen = settings()
    config = LatencyConfig(bundle or chosen.bundle, graphs, images, chosen.threads, chosen.device)
    return replace(config, repeats=6, forward_repeats=2, batch_sizes=(1, 8, 32), quick=True) if quick else config


def _load_config(bundle: Path | None, images: Path | None, quick: bool) -> LoadConfig:
    from benchmarks.load import LoadConfig

    chosen = settings()
    config = LoadConfig(bundle or chosen.bundle, images=images, threads=chosen.threads, device=chosen.device)
    if not quick:
        return config
    return replace(
        config,
        batch_sizes=(1, 8),
        forward_repeats=2,
        callers=(8,),
        trials=2,
        warm_up_s=0.3,
        naive_s=2.0,
        single_s=1.5,
        saturated_s=2.0,
        trial_s=1.5,
        overload_s=1.5,
        quick=True,
    )


def _pipeline_config(data_root: Path | None, quick: bool) -> PipelineConfig:
    from benchmarks.pipeline import PipelineConfig

    config = PipelineConfig(data_root)
    return replace(config, sizes=(64,), batch_size=4, steps=1, per_class=4, quick=True) if quick else config


def _say(what: str) -> None:
    click.echo(f"{what} ...", err=True)
