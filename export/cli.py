"""`wbc export` and `wbc quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from wbc.adaptation.tta import MODES, Mode
from wbc.settings import settings


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder of the bundle.  [default: WBC_BUNDLE]"
)
@click.option(
    "--data-root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the splits.  [default: WBC_DATA_ROOT]",
)
@click.option("--name", default="densenet121-wbc", show_default=True, help="Name of the bundle.")
@click.option("--bundle-version", default="1", show_default=True, help="Version of the bundle.")
@click.option("--half/--single", default=True, show_default=True, help="Round the weights to half precision, or not.")
@click.option("--tta", type=click.Choice(MODES), default="none", show_default=True, help="Views of an image.")
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Val images a class; 0 takes all.")
def export(
    run: Path,
    *,
    output: Path | None,
    data_root: Path | None,
    name: str,
    bundle_version: str,
    half: bool,
    tta: Mode,
    limit: int,
) -> None:
    """Turn the training run in folder RUN into a model bundle.

    Converts to ONNX, compares both graphs on Val images, fits temperature and review threshold on Val, and writes
    the bundle only if everything holds.
    """
    from export.bundle import ExportConfig, export_bundle

    bundle = export_bundle(
        ExportConfig(
            run=run,
            output=output or settings().bundle,
            data_root=data_root or settings().data_root,
            name=name,
            version=bundle_version,
            half=half,
            tta=tta,
            limit=limit,
        )
    )
    parity = bundle.manifest.parity
    click.echo(
        f"{bundle.path}: {bundle.manifest.name} {bundle.manifest.version}, parity over {parity['images']:.0f} images "
        f"{parity['logits']:.1e} logits, {parity['cam']:.1e} maps, temperature {bundle.manifest.temperature:g}"
    )


@click.command()
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--graph",
    type=click.Choice(["int8", "fp16"]),
    default="int8",
    show_default=True,
    help="8-bit integers for CPUs, or half precision for GPUs.",
)
@click.option(
    "--data-root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the splits.  [default: WBC_DATA_ROOT]",
)
@click.option("--train-split", default="Train", show_default=True, help="Folder that int8 is calibrated on.")
@click.option(
    "--calibration-images", type=click.IntRange(min=1), default=40, show_default=True, help="Of it, images a class."
)
@click.option("--limit", type=click.IntRange(min=0), default=0, help="Val images a class; 0 takes all.")
@click.option("--rounds", type=click.IntRange(min=3), default=30, show_default=True, help="Timed passes a batch size.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="Of a forward pass; 0 takes the CPU quota.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File of the measured numbers.  [default: results/bench/GRAPH.json]",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 also where the graph does not pass.")
def quantize(bundle: Path, *, data_root: Path | None, report: Path | None, exit_zero: bool, **options: Any) -> None:
    """Make a faster graph of BUNDLE, measure it, and add it to the bundle if it passes.

    int8 has to be at least 1.8 times as fast as single precision at batches of 1, 8 and 32; fp16 has to be faster on
    CUDA. Neither may lose more than 0.2 points of balanced accuracy on Val. The numbers are written in any case; a
    graph that does not pass is not left in the bundle. The manifest changes: an evaluation or model card of
    the former one no longer holds and is to be written again.
    """
    from evaluation.results import write_json
    from export.gate import GateConfig, add_graph

    config = GateConfig(bundle, data_root or settings().data_root, **options)
    result = add_graph(config, say=lambda text: click.echo(text, err=True))
    path = report or Path("results/bench") / f"{config.graph}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(result, path)
    for speed in result.speed:
        ratio = speed.ratio
        click.echo(
            f"batch {speed.batch_size}: {speed.fp32_ms:.1f} ms an image in single precision, {speed.graph_ms:.1f} ms "
            f"in {result.graph}: {ratio.value:.2f} times as fast ({ratio.low:.2f}-{ratio.high:.2f})"
        )
    found = result.fidelity
    click.echo(
        f"balanced accuracy on {found.images} Val images: {found.fp32.percent()}, then {found.graph.percent()}; "
        f"{found.lost.percent()} points lost; {found.other_class} other classes, {found.other_flag} other flags, "
        f"probabilities differ by at most {found.probability_largest:.3f}, "
        f"maps correlate at {found.map_correlation_mean:.3f} on average"
    )
    click.echo(f"{path}: written")
    if result.offered:
        click.echo(f"{bundle}: {result.graph} is offered; WBC_GRAPH={result.graph} serves it")
        return
    click.echo(f"{bundle}: {result.graph} is not offered: {'; '.join(result.failures)}", err=True)
    if not exit_zero:
        raise SystemExit(1)
