"""`wbc export` and `wbc quantize`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from export.options import ExportOptions, QuantizeOptions
from wbc.cli.options import build, given, options

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("run", type=FOLDER)
@options(ExportOptions, without=["run"])
@click.pass_context
def export(context: click.Context, /, **_: Any) -> None:
    """Turn the training run in folder RUN into a model bundle.

    Converts the model to ONNX, compares both on Val images, fits the temperature and the review thresholds on Val, and
    writes the bundle only if their logits and maps agree.
    """
    chosen = build(ExportOptions, given(context, ExportOptions))
    from export.bundle import export_bundle

    bundle = export_bundle(chosen)
    manifest, parity = bundle.manifest, bundle.manifest.parity
    click.echo(
        f"{bundle.path}: {manifest.name} {manifest.version}, largest difference on {parity['images']:.0f} images "
        f"{parity['logits']:.1e} (logits) and {parity['cam']:.1e} (maps), temperature {manifest.temperature:g}"
    )


@click.command()
@click.argument("bundle", type=FOLDER)
@options(QuantizeOptions, without=["bundle"])
@click.pass_context
def quantize(context: click.Context, /, **_: Any) -> None:
    """Make a faster graph of BUNDLE, measure it, and add it to the bundle if it passes.

    int8 must be at least 1.8 times as fast as single precision at batch sizes 1, 8 and 32; fp16 must be faster on
    CUDA. Neither may lose more than 0.2 points of balanced accuracy on Val. The measurements are written in any case; a
    graph that does not pass is removed from the bundle. The manifest changes, so evaluate the bundle and write its
    model card again afterwards.
    """
    chosen = build(QuantizeOptions, given(context, QuantizeOptions))
    from evaluation.results import write_json
    from export.gate import add_graph

    result = add_graph(chosen, log=lambda text: click.echo(text, err=True))
    chosen.report.parent.mkdir(parents=True, exist_ok=True)
    write_json(result, chosen.report)
    for speed in result.speed:
        ratio = speed.ratio
        click.echo(
            f"batch size {speed.batch_size}: {speed.fp32_ms:.1f} ms per image in single precision, "
            f"{speed.graph_ms:.1f} ms in {result.graph}, "
            f"{ratio.value:.2f} times as fast ({ratio.low:.2f}-{ratio.high:.2f})"
        )
    found = result.fidelity
    click.echo(
        f"balanced accuracy on {found.images} Val images: {found.fp32.percent()}, then {found.graph.percent()}; "
        f"{found.lost.percent()} points lost; {found.other_class} classes and {found.other_flag} review flags changed; "
        f"probabilities differ by at most {found.probability_largest:.3f}; "
        f"mean correlation of the maps {found.map_correlation_mean:.3f}"
    )
    click.echo(f"{chosen.report}: written")
    if result.offered:
        click.echo(f"{chosen.bundle}: {result.graph} was added; WBC_GRAPH={result.graph} serves it")
        return
    click.echo(f"{chosen.bundle}: {result.graph} was not added: {'; '.join(result.failures)}", err=True)
    if not chosen.exit_zero:
        raise SystemExit(1)
