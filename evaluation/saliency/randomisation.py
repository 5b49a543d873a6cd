"""Do the maps depend on what was learnt? Parameter randomisation, from the head down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from evaluation.saliency import estimates
from wbc.nn.classifier import ATTENTION, backbone_layers
from wbc.saliency.closed_form import class_activation_maps

LIMIT = 0.5
"""What the upper end of the mean rank correlation's interval must stay below once every layer is randomised."""

Mapper = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Prepared images to maps of all classes, (N, 5, h, w), with the weights that the model has when it is called."""

Stage = tuple[str, list[keras.layers.Layer]]


def closed_form_maps(model: keras.Model) -> Mapper:
    """The maps that the graph holds, computed in Keras so that weights can be changed underneath."""
    attended = keras.Model(model.input, model.get_layer(ATTENTION).output)

    @tf.function  # type: ignore[untyped-decorator]
    def forward(images: tf.Tensor) -> tf.Tensor:
        return class_activation_maps(model, attended(images, training=False))

    def maps(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.concatenate([forward(tf.constant(images[i : i + 8])).numpy() for i in range(0, len(images), 8)])

    return maps


def stages(model: keras.Model) -> list[Stage]:
    """Groups of layers from the head down: each dense layer with its batch norm, attention, then parts of the backbone.

    A part is a run of layers whose names begin alike (`conv5_`, `pool4_`, ...); one of fewer than three layers is
    counted to the part below it.
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
    """Shuffle the values inside each trained weight of a layer; the statistics of a batch norm stay.

    Adebayo et al. draw anew from the initialiser. Shuffling keeps each weight's distribution, so that activations
    keep their size and the maps change for what they show, not for overflowing.
    """
    for weight in layer.weights:
        if "moving_" not in weight.path.rsplit("/", 1)[-1]:
            value = np.asarray(weight)
            weight.assign(rng.permutation(value.ravel()).reshape(value.shape))


def cascade(model: keras.Model, rng: np.random.Generator) -> Iterator[str]:
    """Randomise stage after stage, none restored before the end; gives each stage's name once it is randomised."""
    kept = model.get_weights()
    try:
        for name, layers in stages(model):
            for layer in layers:
                shuffle(layer, rng)
            yield name
    finally:
        model.set_weights(kept)


def randomisation(
    model: keras.Model,
    images: NDArray[np.uint8],
    classes: NDArray[np.int64],
    mapper: Mapper,
    *,
    seed: int,
    draws: int = 2,
) -> dict[str, Any]:
    """The cascading randomisation of Adebayo et al. 2018 (arXiv 1810.03292).

    Layers are randomised from the output to the input, and after each stage the map of the class that the trained
    model gave is compared with the trained model's, by Spearman's rank correlation over the feature grid. A map that
    stays as it was does not come from what was learnt.

    Args:
        model: a classifier of `wbc.nn.build_classifier`; it has its weights again afterwards.
        images: uint8 (N, S, S, 3), prepared.
        classes: int64 (N,), whose map is followed.
        mapper: gives the maps.
        seed: of the draws and of the intervals.
        draws: independent cascades; an image's correlation is the mean over them.
    """
    rows = np.arange(len(images))
    trained = mapper(images)[rows, classes]
    names = [name for name, _ in stages(model)]
    rho = np.empty((draws, len(names), len(images)))
    for draw in range(draws):
        for step, _ in enumerate(cascade(model, np.random.default_rng([seed, draw]))):
            changed = mapper(images)[rows, classes]
            rho[draw, step] = [rank_correlation(a, b) for a, b in zip(trained, changed, strict=True)]
    found = [estimates.mean(rho[:, step].mean(axis=0), seed) for step in range(len(names))]
    last = found[-1]
    return {
        "images": len(images),
        "draws": draws,
        "limit": LIMIT,
        "stages": [{"randomised_down_to": name, "rank_correlation": e} for name, e in zip(names, found, strict=True)],
        "passed": last is not None and last.high < LIMIT,
    }


def rank_correlation(before: NDArray[np.floating], after: NDArray[np.floating]) -> float:
    """Spearman's rank correlation of two maps, ties at their mean rank.

    A map without a pattern cannot lose it, so `before` constant counts as 1; a pattern that turned into a
    constant is lost, so only `after` constant counts as 0. A number that is not finite counts as 1: nothing was shown.
    """
    if not (np.isfinite(before).all() and np.isfinite(after).all()) or np.ptp(before) == 0:
        return 1.0
    if np.ptp(after) == 0:
        return 0.0
    return float(np.corrcoef(_ranks(before), _ranks(after))[0, 1])


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    _, position, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2.0)[position])
