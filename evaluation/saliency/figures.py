"""Plots of the checks, and the maps of a drawn cell; no photograph of a data set is published."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.plots import BLUE, GREY, ORANGE, plot
from evaluation.saliency.sample import load_without_tta
from wbc.analyzer import Analyzer
from wbc.images import encode_png
from wbc.saliency.overlay import grey, overlay, with_colour_bar
from wbc.saliency.sheet import Tile, contact_sheet

LINES = {
    "gradcam": ("Grad-CAM", BLUE, "o-"),
    "random": ("random map", GREY, "s--"),
    "gaussian": ("centred Gaussian", ORANGE, "^:"),
}

Results = Mapping[str, Any]


def draw_all(results: Results, bundle: Path, folder: Path) -> None:
    """Write `curves.png`, `randomisation.png` and `drawn_cell.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_curves(results["curves"], folder / "curves.png")
    draw_randomisation(results["randomisation"], folder / "randomisation.png")
    (folder / "drawn_cell.png").write_bytes(encode_png(draw_maps(load_without_tta(bundle))))


def draw_curves(found: Results, path: Path) -> None:
    """Draw the mean insertion and deletion curves of the three maps."""
    with plot(path, 8, 3.4, columns=2) as both:
        for axes, kind in zip(both, ("insertion", "deletion"), strict=True):
            for name, (title, colour, style) in LINES.items():
                area, values = found[kind]["auc"][name], found[kind]["mean_curve"][name]
                label = f"{title}, AUC {area['value']:.3f}" if area else title
                axes.plot(found["fractions"], values, style, color=colour, markersize=4, label=label)
            axes.set(title=f"{kind}: {found[kind]['better']} is better", xlabel=f"share of the pixels, {kind}")
            axes.set_ylim(-0.02, 1.02)
            axes.legend()
        both[0].set_ylabel("calibrated probability of the class")


def draw_randomisation(found: Results, path: Path) -> None:
    """Draw the rank correlation with the trained model's map by stage."""
    names = ["trained", *(stage["randomised_down_to"] for stage in found["stages"])]
    trained = {"value": 1.0, "low": 1.0, "high": 1.0}
    estimates = [trained, *(stage["rank_correlation"] for stage in found["stages"])]
    values, low, high = (np.array([one[key] for one in estimates]) for key in ("value", "low", "high"))
    at, spread = np.arange(len(names)), (values - low, high - values)
    with plot(path, 6.5, 3.4) as (axes,):
        axes.errorbar(at, values, yerr=spread, fmt="o-", color=BLUE, capsize=2, markersize=4)
        axes.axhline(found["limit"], color=ORANGE, linewidth=1, label=f"limit at the end, {found['limit']:g}")
        axes.axhline(0, color=GREY, linewidth=0.5)
        axes.set_xticks(at, names, rotation=30, ha="right")
        axes.set(ylabel="Spearman rank correlation", xlabel="randomised from the head down to", ylim=(-0.3, 1.05))
        axes.legend()


def draw_maps(analyzer: Analyzer) -> NDArray[np.uint8]:
    """Return a drawn cell, its map and its overlay with the colour bar, as `wbc gradcam` shows them."""
    analysis = analyzer.analyze(encode_png(draw_cell()))
    display, heat = analysis.prepared.display, analysis.heatmap
    tiles = [
        Tile(display, ("a drawn cell",)),
        Tile(np.repeat(grey(heat)[..., None], 3, axis=2), ("its map",)),
        Tile(
            with_colour_bar(overlay(display, heat, analysis.prepared.foreground)),
            (f"overlay: {analysis.label} {analysis.confidence:.0%}",),
        ),
    ]
    return contact_sheet(tiles, columns=3)


def draw_cell(size: int = 224) -> NDArray[np.uint8]:
    """Draw a leukocyte with a lobed nucleus among red cells, uint8 (size, size, 3)."""
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
