"""Plots of the checks, and the maps of a drawn cell: no photograph leaves the data's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from wbc.analysis import Pipeline
from wbc.bundle import Bundle
from wbc.images import encode_png
from wbc.inference import OnnxClassifier
from wbc.saliency.overlay import grey, overlay, with_colour_bar
from wbc.saliency.sheet import Tile, contact_sheet

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"  # Okabe and Ito 2008: told apart by everybody
LINES = {
    "gradcam": ("Grad-CAM", BLUE, "o-"),
    "random": ("random map", GREY, "s--"),
    "gaussian": ("centred Gaussian", ORANGE, "^:"),
}

Results = Mapping[str, Any]


def draw_all(results: Results, bundle: Path, folder: Path) -> None:
    """Write `curves.png`, `randomisation.png` and `drawn_cell.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    curves(results["curves"], folder / "curves.png")
    randomisation(results["randomisation"], folder / "randomisation.png")
    (folder / "drawn_cell.png").write_bytes(encode_png(drawn_cell_maps(Bundle.load(bundle))))


def curves(found: Results, path: Path) -> None:
    """Mean insertion and deletion curves of the three maps."""
    figure = _figure(8, 3.4)
    for axes, kind in zip(figure.subplots(1, 2, sharey=True), ("insertion", "deletion"), strict=True):
        for name, (label, colour, style) in LINES.items():
            area = found[kind]["auc"][name]
            axes.plot(
                found["fractions"],
                found[kind]["mean_curve"][name],
                style,
                color=colour,
                markersize=4,
                label=f"{label}, AUC {area['value']:.3f}" if area else label,
            )
        axes.set(
            title=f"{kind}: {found[kind]['better']} is better",
            xlabel=f"share of the pixels, {kind}",
            ylim=(-0.02, 1.02),
        )
        axes.legend(fontsize=7)
    figure.axes[0].set_ylabel("calibrated probability of the class")
    _save(figure, path)


def randomisation(found: Results, path: Path) -> None:
    """Rank correlation with the trained model's map, stage by stage."""
    names = ["trained", *(stage["randomised_down_to"] for stage in found["stages"])]
    estimates = [stage["rank_correlation"] for stage in found["stages"]]
    values = np.array([1.0, *(e["value"] for e in estimates)])
    low, high = np.array([1.0, *(e["low"] for e in estimates)]), np.array([1.0, *(e["high"] for e in estimates)])
    figure = _figure(6.5, 3.4)
    axes = figure.subplots()
    at = np.arange(len(names))
    axes.errorbar(at, values, yerr=(values - low, high - values), fmt="o-", color=BLUE, capsize=2, markersize=4)
    axes.axhline(found["limit"], color=ORANGE, linewidth=1, label=f"limit at the end, {found['limit']:g}")
    axes.axhline(0, color=GREY, linewidth=0.5)
    axes.set_xticks(at, names, rotation=30, ha="right")
    axes.set(ylabel="Spearman rank correlation", xlabel="randomised from the head down to", ylim=(-0.3, 1.05))
    axes.legend(fontsize=7)
    _save(figure, path)


def drawn_cell_maps(bundle: Bundle) -> NDArray[np.uint8]:
    """A drawn cell, its map and its overlay with the colour bar, as `wbc gradcam` shows them."""
    pipeline = Pipeline(bundle)
    analysis = pipeline.analyze(encode_png(drawn_cell()), OnnxClassifier(bundle.onnx_path))
    prepared = analysis.prepared
    raw = np.repeat(grey(analysis.heatmap)[..., None], 3, axis=2)
    picture = with_colour_bar(overlay(prepared.display, analysis.heatmap, prepared.foreground))
    tiles = [
        Tile(prepared.display, ("a drawn cell",)),
        Tile(raw, ("its map",)),
        Tile(picture, (f"overlay: {analysis.label} {analysis.confidence:.0%}",)),
    ]
    return contact_sheet(tiles, columns=3)


def drawn_cell(size: int = 224) -> NDArray[np.uint8]:
    """A drawn leukocyte with a lobed nucleus among red cells, uint8 (size, size, 3)."""
    rng = np.random.default_rng(3)
    unit = size / 224
    picture = np.full((size, size, 3), (240, 222, 206), np.uint8)

    def disc(x: float, y: float, radius: float, colour: tuple[int, int, int]) -> None:
        cv2.circle(picture, (round(x * unit), round(y * unit)), round(radius * unit), colour, cv2.FILLED, cv2.LINE_AA)

    for x, y in ((24, 34), (92, 14), (196, 30), (18, 128), (206, 120), (40, 200), (128, 212), (196, 196)):
        disc(x, y, 25, (214, 164, 156))
        disc(x, y, 10, (226, 186, 176))
    disc(112, 112, 52, (222, 200, 214))
    for x, y, radius in ((94, 96, 19), (128, 100, 20), (116, 130, 21)):
        disc(x, y, radius, (96, 58, 140))
    grain = cv2.GaussianBlur(rng.normal(0.0, 9.0, picture.shape).astype(np.float32), (0, 0), 1.2)
    return np.asarray(np.clip(cv2.GaussianBlur(picture, (0, 0), 1.0) + grain, 0, 255), np.uint8)


def _figure(width: float, height: float) -> Figure:
    """A figure of its own, without pyplot and its global state."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=120, metadata={"Software": None})  # the same picture from the same results
