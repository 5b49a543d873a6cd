"""Plots of an evaluation: confusion matrix, ROC, reliability diagram, risk against coverage."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from evaluation.metrics import Metrics
from wbc.adaptation.calibration import Bins
from wbc.labels import CLASSES

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#777777"  # Okabe and Ito 2008: distinct with any colour vision
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#777777")


@contextmanager
def plot(path: Path, width: float, height: float, columns: int = 1) -> Iterator[list[Axes]]:
    """Yield the axes of a figure, of a size in inches, and write it as PNG; the same data give the same bytes."""
    with mpl.rc_context({"axes.spines.top": False, "axes.spines.right": False, "font.size": 8, "legend.fontsize": 7}):
        figure = Figure((width, height), layout="constrained")  # pyplot has global state
        FigureCanvasAgg(figure)
        yield list(figure.subplots(1, columns, squeeze=False, sharey=True)[0])
        figure.savefig(path, dpi=110, metadata={"Software": None})


def confusion_matrix(metrics: Metrics, title: str, path: Path) -> None:
    """Draw counts and their share of the true class; the colour is the share."""
    counts = np.array(metrics.confusion)
    support = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    with plot(path, 5.2, 4.6) as (axes,):
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            text = f"{count}\n{100 * share[row, column]:.1f}%" if support[row, 0] else "absent" * (column == row)
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks(range(len(CLASSES)), CLASSES, rotation=30)
        axes.set_yticks(range(len(CLASSES)), CLASSES)
        axes.set(xlabel="predicted", ylabel="truth", title=f"{title}: {metrics.images} images")
        axes.spines[:].set_visible(False)


def roc(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], metrics: Metrics, title: str, path: Path
) -> None:
    """Draw the one-vs-rest ROC curve of each class that has one."""
    with plot(path, 5.2, 4.6) as (axes,):
        for index, name in enumerate(CLASSES):
            area = metrics.per_class[name].auc
            if area is None:
                axes.plot([], [], color=COLOURS[index], label=f"{name}: no curve")
                continue
            false, true, _ = roc_curve(labels == index, probabilities[:, index])
            axes.plot(false, true, color=COLOURS[index], label=f"{name}: {area:.4f}")
        axes.axline((0, 0), slope=1, color=GREY, linestyle=":", linewidth=1)
        axes.set(
            xlabel="false positive rate", ylabel="true positive rate", title=f"{title}: one class against the rest"
        )
        axes.legend(title="area under the curve", loc="lower right")


def reliability(before: Bins, after: Bins, title: str, path: Path) -> None:
    """Draw accuracy against confidence before and after temperature scaling, with the count of each bin."""
    with plot(path, 8.4, 4.4, columns=2) as both:
        for axes, found, name in zip(both, (before, after), ("before", "after"), strict=True):
            width = 1 / len(found.count)
            filled = found.count > 0
            middles = ((np.arange(len(found.count)) + 0.5) * width)[filled]
            accuracy = found.accuracy[filled]
            axes.bar(middles, accuracy, width * 0.92, color=BLUE, alpha=0.35, label="accuracy")
            axes.plot(found.confidence[filled], accuracy, "o", color=ORANGE, label="mean confidence")
            for x, y, count in zip(middles, accuracy, found.count[filled], strict=True):
                axes.text(x, y + 0.01, str(count), ha="center", fontsize=6, color=GREY)
            axes.axline((0, 0), slope=1, color=GREY, linestyle=":", linewidth=1)
            axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1.06))
            axes.set_title(f"{name} scaling: ECE {found.error:.4f}")
            axes.legend(loc="upper left")
        both[0].figure.suptitle(title)


def risk_coverage(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], accepted: float, path: Path
) -> None:
    """Draw a risk-coverage curve per set of images; see `rejection.risk_coverage`."""
    with plot(path, 6.4, 4.2) as (axes,):
        for (name, (coverage, risk)), colour in zip(curves.items(), COLOURS, strict=False):
            axes.plot(coverage, risk, color=colour, label=name)
        axes.axhline(accepted, color=GREY, linestyle=":", label=f"error {accepted:.0%}")
        axes.set(xlabel="coverage: share of images, most confident first", ylabel="risk: misclassified share of these")
        axes.set(xlim=(0, 1), ylim=(0, None), title="risk against coverage")
        axes.legend()


def distances(groups: Mapping[str, NDArray[np.float64]], threshold: float | None, name: str, path: Path) -> None:
    """Draw the cumulative distribution of a distance for each group of images, (N,) values each."""
    with plot(path, 6.4, 4.2) as (axes,):
        for (group, values), colour in zip(groups.items(), COLOURS * 2, strict=False):
            axes.ecdf(values, color=colour, label=group)
        if threshold is not None:
            axes.axvline(threshold, color=GREY, linestyle=":", label=f"threshold {threshold:.2f}")
        axes.set(xlabel=name, ylabel="share of images below", xscale="log", ylim=(0, 1))
        axes.set_title("known and out-of-distribution images")
        axes.legend()
