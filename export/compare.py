"""Speed and predictions of a graph in reduced precision, compared with single precision."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from evaluation.intervals import RESAMPLES, Estimate, bootstrap
from evaluation.metrics import measure
from wbc.analyzer import Analyzer
from wbc.data.dataset import Split
from wbc.errors import DataError, ModelError, WBCError
from wbc.inference import OnnxClassifier
from wbc.labels import CLASSES

BATCH_SIZE = 32


class Speed(BaseModel):
    """Median time per image of both graphs at one batch size, and their ratio."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int
    fp32_ms: float
    graph_ms: float
    ratio: Estimate


class Fidelity(BaseModel):
    """Differences between the analyses of both graphs.

    Attributes:
        images: number of images.
        fp32, graph: balanced accuracy of each.
        lost: balanced accuracy of single precision minus that of the graph; the interval is of the paired difference.
        other_class: images with another class.
        other_flag: images that only one of the graphs flags for review.
        probability_largest, probability_mean: largest difference of a probability, over all images and on average.
        maps: images whose maps were compared; maps that are empty in both graphs have no correlation.
        maps_empty_in_one: images among them whose map is empty in only one graph.
        map_correlation_mean, map_correlation_p5: Pearson's correlation of the maps of the class that single precision
            predicts, mean and 5th percentile.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: int
    fp32: Estimate
    graph: Estimate
    lost: Estimate
    other_class: int
    other_flag: int
    probability_largest: float
    probability_mean: float
    maps: int
    maps_empty_in_one: int
    map_correlation_mean: float
    map_correlation_p5: float


def compare_speed(fp32: OnnxClassifier, graph: OnnxClassifier, batch_size: int, rounds: int) -> Speed:
    """Time both graphs alternately, so that other load on the machine slows both."""
    size = fp32.image_size
    views = np.random.default_rng(0).integers(0, 256, (batch_size, size, size, 3), dtype=np.uint8)
    seconds = np.zeros((rounds, 2))
    for classifier in (fp32, graph):  # warm-up
        classifier(views)
    for row in seconds:
        for column, classifier in enumerate((fp32, graph)):
            start = time.perf_counter()
            classifier(views)
            row[column] = time.perf_counter() - start
    medians = np.median(seconds, axis=0)
    resamples = np.random.default_rng(0).integers(0, rounds, (RESAMPLES, rounds))
    resampled = np.median(seconds[resamples], axis=1)
    low, high = np.percentile(resampled[:, 0] / resampled[:, 1], [2.5, 97.5])
    return Speed(
        batch_size=batch_size,
        fp32_ms=1e3 * medians[0] / batch_size,
        graph_ms=1e3 * medians[1] / batch_size,
        ratio=Estimate(value=float(medians[0] / medians[1]), low=float(low), high=float(high)),
    )


def compare_predictions(fp32: Analyzer, graph: Analyzer, split: Split) -> Fidelity:
    """Analyze the readable images of a split with both graphs.

    Raises:
        DataError: no image of the split can be read.
        ModelError: a graph failed.
    """
    labels, probabilities, flags, correlations, empty_in_one = [], [], [], list[float](), 0
    pairs = zip(*(one.forward_many(split.paths, batch_size=BATCH_SIZE) for one in (fp32, graph)), strict=True)
    for ((_, first), (_, second)), label in zip(pairs, split.labels, strict=True):
        for error in (first, second):
            if isinstance(error, ModelError):
                raise error
        if isinstance(first, WBCError) or isinstance(second, WBCError):
            continue
        analyses = [fp32.pipeline.conclude(found.prepared, found.outputs) for found in (first, second)]
        labels.append(int(label))
        probabilities.append([one.probabilities for one in analyses])
        flags.append([bool(one.review) for one in analyses])
        index = CLASSES.index(analyses[0].label)
        maps = [found.outputs.cam[0, index].ravel().astype(np.float64) for found in (first, second)]
        if all(one.std() > 0 for one in maps):
            correlations.append(float(np.corrcoef(maps)[0, 1]))
        elif any(one.any() for one in maps):
            empty_in_one += 1
    if not labels:
        raise DataError(f"none of the {len(split.paths)} files of {split.name} can be read")
    truth, by_graph = np.array(labels), np.stack(probabilities, axis=1)
    predicted, differences = by_graph.argmax(axis=2), np.abs(by_graph[0] - by_graph[1]).max(axis=1)
    accuracies = [measure(truth, rows).present.balanced_accuracy for rows in by_graph]
    return Fidelity(
        images=len(truth),
        fp32=accuracies[0],
        graph=accuracies[1],
        lost=_estimate_loss(truth, *(predicted == truth)),
        other_class=int((predicted[0] != predicted[1]).sum()),
        other_flag=sum(one != other for one, other in flags),
        probability_largest=float(differences.max()),
        probability_mean=float(differences.mean()),
        maps=len(correlations) + empty_in_one,
        maps_empty_in_one=empty_in_one,
        map_correlation_mean=float(np.mean(correlations)),
        map_correlation_p5=float(np.percentile(correlations, 5)),
    )


def _estimate_loss(labels: NDArray[np.int64], correct: NDArray[np.bool_], other: NDArray[np.bool_]) -> Estimate:
    """Return the balanced accuracy lost between two sets of predictions, with the interval of the paired difference."""
    change = correct.astype(np.int64) - other  # 1 lost, 0 the same, -1 gained
    table = np.array([[(change[labels == c] == step).sum() for step in (-1, 0, 1)] for c in range(len(CLASSES))])
    present = table.sum(axis=1) > 0

    def lost(tables: NDArray[np.int64]) -> NDArray[np.float64]:
        shares = (tables[:, present, 2] - tables[:, present, 0]) / tables[:, present].sum(axis=2)
        return np.asarray(shares.mean(axis=1))

    return bootstrap(table, lost, np.random.default_rng(0))
