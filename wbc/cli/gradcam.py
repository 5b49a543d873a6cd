"""`wbc gradcam`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from wbc.errors import InvalidParameter, WBCError
from wbc.labels import CLASSES, index_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wbc.bundle import Bundle
    from wbc.inference import Outputs
    from wbc.preprocessing.pipeline import Prepared

    MapOf = Callable[[Prepared, Outputs], NDArray[np.floating]]

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--output-dir", type=FOLDER, default=Path("outputs/gradcam"), show_default=True, help="Where it is written."
)
@click.option("--bundle", type=FOLDER, help="Folder of the model bundle.  [default: WBC_BUNDLE]")
@click.option(
    "--method",
    type=click.Choice(["closed_form", "keras"]),
    help="How: the map in the ONNX graph, or automatic differentiation, which needs TensorFlow."
    "  [default: closed_form, or keras with --layer]",
)
@click.option("--layer", help="Layer of the Keras graph whose map is taken.  [default: the bundle's Grad-CAM layer]")
@click.option(
    "--class",
    "label",
    type=click.Choice(CLASSES, case_sensitive=False),
    help="Class whose map is taken.  [default: the predicted class of each image]",
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
    """Write where the model looks in IMAGES (files, or folders of them).

    For each image NAME.overlay.png (the map over the framed cell, with a colour bar and the found cell's outline) and
    NAME.map.png (the map alone, not masked, 8-bit grey), and contact_sheet.png over all of them. An image that cannot
    be read is named with the reason, the others are written, and the exit code is 1.
    """
    from dataclasses import replace

    from wbc.analysis import Pipeline
    from wbc.bundle import Bundle
    from wbc.cli import _files as image_files
    from wbc.images import encode_png
    from wbc.inference import OnnxClassifier
    from wbc.saliency.focus import focus
    from wbc.saliency.overlay import grey, heatmap, overlay, with_colour_bar
    from wbc.saliency.sheet import Tile, contact_sheet
    from wbc.settings import settings

    loaded = Bundle.load(bundle or settings().bundle)
    pipeline, classifier = Pipeline(loaded), OnnxClassifier(loaded.onnx_path, threads=settings().threads)
    maps_of, source = _maps(loaded, method or ("keras" if layer else "closed_form"), layer)
    tiles, taken, failed = [], set[str](), 0
    output_dir.mkdir(parents=True, exist_ok=True)
    for path in image_files(images):
        try:
            prepared, _ = pipeline.prepare(path.read_bytes())
        except WBCError as error:
            failed += 1
            click.echo(f"{path}: {error} [{error.code}]", err=True)
            continue
        outputs = classifier(pipeline.views(prepared))
        analysis = pipeline.conclude(prepared, outputs)
        shown = label or analysis.label
        heat = heatmap(maps_of(prepared, outputs)[index_of(shown)], prepared.display.shape[0])
        analysis = replace(analysis, heatmap=heat, focus=focus(heat, prepared.foreground))
        picture = with_colour_bar(overlay(prepared.display, heat, prepared.foreground))
        name = _free(path.stem, taken)
        (output_dir / f"{name}.overlay.png").write_bytes(encode_png(picture))
        (output_dir / f"{name}.map.png").write_bytes(encode_png(grey(heat)))
        lift = "no ratio" if analysis.focus.lift is None else f"lift {analysis.focus.lift:.2f}"
        words = f"{shown} {analysis.probability(shown):.1%}, {lift}"
        click.echo(f"{path}: {words} [{source}]" + ("" if heat.any() else "; the map is empty"))
        tiles.append(Tile(picture, (name, words)))
    if tiles:
        sheet = contact_sheet(tiles, title=f"{loaded.manifest.name} {loaded.manifest.version}, Grad-CAM, {source}")
        (output_dir / "contact_sheet.png").write_bytes(encode_png(sheet))
    elif not failed:
        raise click.BadParameter(f"no image file in {', '.join(map(str, images))}", param_hint="IMAGES")
    if failed:
        raise SystemExit(1)


def _maps(bundle: Bundle, method: str, layer: str | None) -> tuple[MapOf, str]:
    """What gives the maps of all classes of one image, (5, h, w), and how it is named.

    Raises:
        InvalidParameter: the closed form has no map of that layer, or there is no such layer.
        BundleMissing: the bundle holds no Keras model.
    """
    target = layer or bundle.manifest.gradcam_layer
    if method == "closed_form":
        if target != bundle.manifest.gradcam_layer:
            raise InvalidParameter(
                f"layer={target!r} with method=closed_form; the graph holds the maps of "
                f"{bundle.manifest.gradcam_layer!r} alone, method=keras takes any layer"
            )
        return lambda _, outputs: outputs.cam[0], f"closed form, {target}"

    import keras

    from wbc.nn import classifier as _layers  # noqa: F401 - registers the layers of the saved model
    from wbc.saliency.gradcam import GradCam

    runner = GradCam(keras.saving.load_model(bundle.keras_path, compile=False))
    return lambda prepared, _: runner.maps(prepared.model_input[None], target)[0], f"keras, {target}"


def _free(stem: str, taken: set[str]) -> str:
    """A name that no earlier image of this run has: files of different folders may share theirs."""
    name, number = stem, 2
    while name in taken:
        name, number = f"{stem}-{number}", number + 1
    taken.add(name)
    return name
