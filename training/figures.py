"""Figures of a run: history, focus, class distribution, contact sheet; and the plot of the backbone comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wbc.labels import CLASSES

BLUE, ORANGE, GREEN, GREY = "#0072b2", "#d55e00", "#009e73", "#777777"  # Okabe and Ito 2008: safe for colour blindness
CLASS_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")

Rows = Sequence[Mapping[str, Any]]


def history(rows: Rows, path: Path) -> None:
    """Plot loss and accuracy by epoch, with a line between the phases."""
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    _line(left, rows, "loss", "training (with augmentation and smoothing)", BLUE)
    _line(left, rows, "val_loss", "validation", ORANGE)
    _line(right, rows, "accuracy", "training", BLUE)
    _line(right, rows, "val_accuracy", "validation", ORANGE)
    _line(right, rows, "val_balanced_accuracy", "validation, balanced", GREEN)
    _finish_epochs(left, rows, "loss, nats")
    _finish_epochs(right, rows, "accuracy")
    _save(figure, path)


def focus(rows: Rows, threshold: float, path: Path) -> None:
    """Plot the focus ratio with its standard deviation, the coverage, the lift and the threshold by epoch."""
    checked = [row for row in rows if row.get("focus") is not None]
    figure = _figure(6.5, 3.6)
    axes = figure.subplots()
    epochs = np.array([row["epoch"] for row in checked])
    rho = np.array([row["focus"] for row in checked])
    spread = np.array([row["focus_spread"] for row in checked])
    axes.fill_between(epochs, rho - spread, rho + spread, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(epochs, rho, "o-", color=BLUE, label="focus ratio, mean and standard deviation")
    axes.plot(epochs, [row["focus_coverage"] for row in checked], "s--", color=GREY, label="coverage (uniform map)")
    axes.plot(epochs, [row["focus_lift"] for row in checked], "^:", color=GREEN, label="lift over coverage")
    axes.axhline(threshold, color=ORANGE, linewidth=1, label=f"threshold {threshold:g}")
    axes.set_ylim(min(0.0, *(row["focus_lift"] for row in checked)) - 0.02, 1.02)
    _finish_epochs(axes, rows, "class activation on the cell")
    _save(figure, path)


def class_distribution(counts: Mapping[str, Sequence[int]], path: Path) -> None:
    """Plot the number of images per class, with a group of bars per split."""
    figure = _figure(max(6.0, 1.6 * len(counts)), 3.6)
    axes = figure.subplots()
    width = 0.8 / len(CLASSES)
    for index, (name, colour) in enumerate(zip(CLASSES, CLASS_COLOURS, strict=True)):
        positions = np.arange(len(counts)) + (index - (len(CLASSES) - 1) / 2) * width
        bars = axes.bar(positions, [c[index] for c in counts.values()], width, color=colour, label=name)
        axes.bar_label(bars, fontsize=6, padding=1)
    axes.set_xticks(np.arange(len(counts)), list(counts))
    axes.set(ylabel="images", title="images per class")
    axes.legend(fontsize=7)
    _save(figure, path)


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], path: Path, columns: Sequence[str] = ()
) -> None:
    """Draw images in named rows, under column titles.

    Args:
        rows: name and images of each row.
        path: image file to write.
        columns: titles of the first columns.
    """
    across = max(len(images) for _, images in rows)
    figure = _figure(1.1 * across + 0.6, 1.1 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), across, squeeze=False)
    for line, (name, images) in zip(grid, rows, strict=True):
        for axes, image in zip(line, images, strict=False):
            axes.imshow(image)
        for axes in line:
            axes.set(xticks=[], yticks=[])
        line[0].set_ylabel(name, fontsize=7)
    for axes, title in zip(grid[0], columns, strict=False):
        axes.set_title(title, fontsize=7)
    _save(figure, path)


def speed_against_score(points: Sequence[tuple[str, float, float]], path: Path) -> None:
    """Plot the validation macro F1 over the milliseconds per image, one dot per network."""
    figure = _figure(6.5, 4.0)
    axes = figure.subplots()
    for name, milliseconds, score in points:
        axes.plot(milliseconds, score, "o", color=BLUE)
        axes.annotate(name, (milliseconds, score), xytext=(4, 3), textcoords="offset points", fontsize=7)
    axes.set(xlabel="ms per image, ONNX Runtime, batch size 1", ylabel="validation macro F1", xscale="log")
    axes.margins(x=0.25)
    _save(figure, path)


def _figure(width: float, height: float) -> Figure:
    """Create a figure without pyplot and its global state."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8}):
        figure = Figure((width, height), layout="constrained")
        FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=120, metadata={"Software": None})  # without the version, the same run gives the same file


def _line(axes: Axes, rows: Rows, key: str, label: str, colour: str) -> None:
    points = [(row["epoch"], row[key]) for row in rows if row.get(key) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), ".-", color=colour, label=label)


def _finish_epochs(axes: Axes, rows: Rows, title: str) -> None:
    """Label the axis of the epochs and draw a line between the phases."""
    epochs = [row["epoch"] for row in rows]
    axes.set(title=title, xlabel="epoch", xlim=(min(epochs) - 0.5, max(epochs) + 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=7)
    first = [row["epoch"] for row in rows if row["phase"] == 2]
    if first and len(first) < len(rows):
        axes.axvline(min(first) - 0.5, color=GREY, linestyle=":", linewidth=1)
        axes.annotate("phase 2", (min(first) - 0.45, 0.01), xycoords=("data", "axes fraction"), fontsize=7, color=GREY)
