"""`wbc gradcam`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wbc.cli.options import BUNDLE, FOLDER, IMAGES, find_images
from wbc.errors import InvalidParameter, WBCError
from wbc.labels import CLASSES, index_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wbc.analyzer import Forwarded
    from wbc.bundle import Bundle

    MapsOf = Callable[[Forwarded], NDArray[np.floating]]


@click.command()
@IMAGES
@click.option(
    "--output-dir", type=FOLDER, default=Path("outputs/gradcam"), show_default=True, help="Folder of the results."
)
@BUNDLE
@click.option(
    "--method",
    type=click.Choice(["closed_form", "keras"]),
    help="Map of the ONNX graph, or automatic differentiation, which needs TensorFlow."
    "  [default: closed_form, or keras with --layer]",
)
@click.option("--layer", help="Layer of the Keras model to take the map from.  [default: the bundle's Grad-CAM layer]")
@click.option(
    "--class",
    "label",
    type=click.Choice(CLASSES, case_sensitive=False),
    help="Class to explain.  [default: the predicted class of each image]",
)
def gradcam(
    images: Sequence[Path],
    *,
    output_dir: Path,
    bundle: Path | None,
    method: Literal["closed_form", "keras"] | None,
    layer: str | None,
    label: str | None,
) -> None:
    """Write the Grad-CAM maps of IMAGES (files, or folders of them).

    Each image gets NAME.overlay.png (the map over the framed cell, with a colour bar and the cell's outline) and
    NAME.map.png (the map only, not masked, 8-bit grey); contact_sheet.png shows all of them. If an image cannot be
    read, the reason is printed, the others are written, and the exit code is 1.
    """
    from wbc.analyzer import Analyzer
    from wbc.files import printable
    from wbc.images import encode_png
    from wbc.saliency.focus import focus
    from wbc.saliency.overlay import grey, heatmap, overlay, with_colour_bar
    from wbc.saliency.sheet import Tile, contact_sheet

    analyzer = Analyzer.load(bundle)
    manifest = analyzer.bundle.manifest
    maps_of, source = _load_maps(analyzer.bundle, method or ("keras" if layer else "closed_form"), layer)
    tiles, taken, failed = [], set[str](), False
    files = find_images(images)
    output_dir.mkdir(parents=True, exist_ok=True)
    for path, found in analyzer.forward_many(files):
        if isinstance(found, WBCError):
            failed = True
            click.echo(f"{printable(path)}: {found} [{found.code}]", err=True)
            continue
        prepared = found.prepared
        analysis = analyzer.pipeline.conclude(prepared, found.outputs)
        shown = label or analysis.label
        heat = heatmap(maps_of(found)[index_of(shown)], prepared.display.shape[0])
        picture = with_colour_bar(overlay(prepared.display, heat, prepared.foreground))
        name = _unused_name(printable(path.stem), taken)
        (output_dir / f"{name}.overlay.png").write_bytes(encode_png(picture))
        (output_dir / f"{name}.map.png").write_bytes(encode_png(grey(heat)))
        lift = focus(heat, prepared.foreground).lift
        words = f"{shown} {analysis.probability(shown):.1%}, {'no ratio' if lift is None else f'lift {lift:.2f}'}"
        click.echo(f"{printable(path)}: {words} [{source}]" + ("" if heat.any() else "; the map is empty"))
        tiles.append(Tile(picture, (name, words)))
    if tiles:
        sheet = contact_sheet(tiles, title=f"{manifest.name} {manifest.version}, Grad-CAM, {source}")
        (output_dir / "contact_sheet.png").write_bytes(encode_png(sheet))
    if failed:
        raise SystemExit(1)


def _load_maps(bundle: Bundle, method: str, layer: str | None) -> tuple[MapsOf, str]:
    """Return a function from an image to the maps of all classes, (5, h, w), and a description of the method.

    Raises:
        InvalidParameter: the closed form has no map of that layer, or there is no such layer.
        BundleMissing: the bundle has no Keras model.
    """
    target = layer or bundle.manifest.gradcam_layer
    if method == "closed_form":
        if target != bundle.manifest.gradcam_layer:
            raise InvalidParameter(
                f"layer={target!r} with method=closed_form; the graph has only the maps of "
                f"{bundle.manifest.gradcam_layer!r}, method=keras accepts any layer"
            )
        return lambda found: found.outputs.cam[0], f"closed form, {target}"

    import keras

    from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
    from wbc.saliency.gradcam import GradCam

    runner = GradCam(keras.saving.load_model(bundle.keras_path, compile=False))
    return lambda found: runner.maps(found.prepared.model_input[None], target)[0], f"keras, {target}"


def _unused_name(stem: str, taken: set[str]) -> str:
    """Return a name that no earlier image of this run has: files of different folders may share theirs."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name)
    return name
