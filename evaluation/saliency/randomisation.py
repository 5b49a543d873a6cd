"""Parameter randomisation, from the head down: the maps have to depend on the trained weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy import stats

from evaluation import intervals
from wbc.nn.classifier import ATTENTION, backbone_layers
from wbc.saliency.closed_form import class_activation_maps

LIMIT = 0.5
"""Limit for the upper end of the interval of the mean rank correlation once every layer is randomised."""

Mapper = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Network inputs (N, S, S, 3) to maps of all classes (N, 5, h, w), with the current weights of the model."""

Stage = tuple[str, list[keras.layers.Layer]]


def closed_form_maps(model: keras.Model) -> Mapper:
    """Return the maps of the graph, computed in Keras so that the weights can be changed."""
    attended = keras.Model(model.input, model.get_layer(ATTENTION).output)

    @tf.function  # type: ignore[untyped-decorator]
    def forward(images: tf.Tensor) -> tf.Tensor:
        return class_activation_maps(model, attended(images, training=False))

    def maps(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([forward(tf.constant(images[i : i + 8])).numpy() for i in range(0, len(images), 8)])

    return maps


def list_stages(model: keras.Model) -> list[Stage]:
    """Group layers from the head down: each dense layer with its batch norm, attention, then parts of the backbone.

    A part is a run of layers with the same first word in their names (`conv5_`, `pool4_`, ...); one of fewer than
    three layers belongs to the part below it.
    """
    head: list[Stage] = [("main_out", [model.get_layer("main_out")])]
    for index in (2, 1):
        head.append((f"dense_{index}", [model.get_layer(f"{kind}_{index}") for kind in ("dense", "norm", "medswish")]))
    head.append((ATTENTION, [model.get_layer(ATTENTION)]))
    parts: list[Stage] = []
    waiting: list[keras.layers.Layer] = []
    weighted = [layer for layer in reversed(backbone_layers(model)) if layer.weights]
    for name, run in groupby(weighted, key=lambda layer: layer.name.split("_")[0]):
        waiting += run
        if len(waiting) >= 3:
            parts.append((name, waiting))
            waiting = []
    if waiting:
        parts.append((waiting[-1].name.split("_")[0], waiting))
    return head + parts


def shuffle(layer: keras.layers.Layer, rng: np.random.Generator) -> None:
    """Shuffle the values inside each trained weight of a layer, but not the statistics of a batch norm.

    Adebayo et al. draw from the initialiser. Shuffling keeps the distribution of each weight, so that activations keep
    their size and maps do not change by overflow.
    """
    for weight in layer.weights:
        if "moving_" not in weight.path.rsplit("/", 1)[-1]:
            value = np.asarray(weight)
            weight.assign(rng.permutation(value.ravel()).reshape(value.shape))


def cascade(model: keras.Model, rng: np.random.Generator) -> Iterator[str]:
    """Randomise stage after stage and yield the name of each; restore all weights at the end."""
    kept = model.get_weights()
    try:
        for name, layers in list_stages(model):
            for layer in layers:
                shuffle(layer, rng)
            yield name
    finally:
        model.set_weights(kept)


def measure_randomisation(
    model: keras.Model,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    mapper: Mapper,
    *,
    seed: int,
    draws: int = 2,
) -> dict[str, Any]:
    """Run the cascading randomisation of Adebayo et al. 2018 (arXiv 1810.03292).

    After each stage, the map of the class that the trained model predicts is compared with the trained model's map by
    Spearman's rank correlation over the feature grid.

    Args:
        model: a classifier of `wbc.nn.build_classifier`; its weights are restored.
        images: network inputs, uint8 (N, S, S, 3).
        classes: int64 (N,), class of the compared map.
        mapper: computes the maps.
        seed: seed of the draws and of the intervals.
        draws: number of independent cascades; the correlation of an image is the mean over them.
    """
    rows = np.arange(len(images))
    trained = mapper(images)[rows, classes]
    names = [name for name, _ in list_stages(model)]
    rho = np.empty((draws, len(names), len(images)))
    for draw in range(draws):
        for step, _ in enumerate(cascade(model, np.random.default_rng([seed, draw]))):
            changed = mapper(images)[rows, classes]
            rho[draw, step] = [rank_correlation(a, b) for a, b in zip(trained, changed, strict=True)]
    found = [intervals.mean(rho[:, step].mean(axis=0), seed) for step in range(len(names))]
    last = found[-1]
    return {
        "images": len(images),
        "draws": draws,
        "limit": LIMIT,
        "stages": [{"randomised_down_to": name, "rank_correlation": e} for name, e in zip(names, found, strict=True)],
        "passed": last is not None and last.high < LIMIT,
    }


def rank_correlation(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Return Spearman's rank correlation of two maps.

    A constant `before` counts as 1 because it has no pattern to lose; otherwise a constant `after` counts as 0. A value
    that is not finite counts as 1, so that the check fails.
    """
    if not (np.isfinite(before).all() and np.isfinite(after).all()) or np.ptp(before) == 0:
        return 1.0
    return 0.0 if np.ptp(after) == 0 else float(stats.spearmanr(before.ravel(), after.ravel()).statistic)
