"""A split as batches for the network: drawn, augmented and prepared, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.augment import Recipe, draw_version
from wbc.data.cache import ImageCache
from wbc.data.dataset import Split, cores
from wbc.labels import AUX_NEGATIVE, AUX_POSITIVE, CLASSES, index_of
from wbc.preprocessing.pipeline import Preprocessor

MAIN, AUX = "main_out", "aux_binary_out"
"""Names of the classifier's outputs."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What the heads learn from a label.

    Attributes:
        aux: whether there is an auxiliary head.
        positive: class index for which its logit is positive.
        negative: class index for which it is negative; the head learns nothing of the other classes.
    """

    aux: bool = True
    positive: int = index_of(AUX_POSITIVE)
    negative: int = index_of(AUX_NEGATIVE)

    def __call__(
        self, labels: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Targets and sample weights of each head."""
        wanted = {MAIN: np.eye(len(CLASSES), dtype=np.float32)[labels]}
        weights = {MAIN: np.ones(len(labels), np.float32)}
        if self.aux:
            wanted[AUX] = (labels == self.positive).astype(np.float32)[:, None]
            weights[AUX] = np.isin(labels, [self.positive, self.negative]).astype(np.float32)
        return wanted, weights


MAX_REPEAT = 10.0
"""Largest factor by which class balance repeats an image: two basophils of a source are not shown a hundred times."""


def balancing_weights(split: Split, balance: float, source_balance: float = 0.0) -> NDArray[np.float64]:
    """How often each image is to be drawn, (N,).

    Args:
        split: the images.
        balance: of the classes within each source; 0 as found, 1 all classes equally often.
        source_balance: of the sources; 0 as found, 1 all sources equally often.
    """
    weights = np.zeros(len(split.paths))
    sizes = np.bincount(split.source).astype(np.float64)
    for source, size in enumerate(sizes):
        inside = split.source == source
        counts = np.bincount(split.labels[inside], minlength=len(CLASSES)).astype(np.float64)
        repeat = np.minimum((counts.max() / np.maximum(counts, 1)) ** balance, MAX_REPEAT)[split.labels[inside]]
        weights[inside] = repeat / repeat.sum() * size * (sizes.max() / size) ** source_balance
    return weights


def draw(
    weights: NDArray[np.float64], labels: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Systematic sampling: each image, and each class, as often as its weight asks, rounded up or down.

    Args:
        weights: of the images.
        labels: of the images; those of a class stand together on the line that is sampled.
        size: how many are drawn.
        rng: the source of randomness.

    Returns:
        Positions of images, (size,), in random order.
    """
    line = np.lexsort((rng.random(len(weights)), labels))
    ends = np.cumsum(weights[line])
    points = ends[-1] * (np.arange(size) + rng.random()) / size
    chosen = np.minimum(np.searchsorted(ends, points, side="right"), len(line) - 1)  # rounding can reach the end
    return line[rng.permutation(chosen)]


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, class-balanced, augmented batches; an image depends on (seed, epoch, position in the epoch) alone.

    Keras' own workers are not used: their queue can carry batches of one epoch over into the next. The images of
    one batch are prepared by a pool of threads, and `fit` fetches ahead within the epoch. Call it with
    `shuffle=False`, or it orders the batches by a generator that a resumed run does not have. The epoch is set before
    its first batch is asked for, and a batch reads it once.

    Args:
        split: the training files.
        preprocessor: applied after augmentation.
        size: side of the images handed to the network.
        batch_size: images a batch; what is left over at the end of an epoch is dropped.
        epoch_size: images an epoch.
        balance: exponent of class balancing within a source, 0 as found, 1 all classes alike.
        source_balance: exponent of balancing over the sources, likewise.
        recipe: augmentation.
        ramp_epochs: epochs over which degradations rise from a half to their full probability.
        seed: base of all randomness, one or several numbers.
        targets: what the heads learn from a label.
        cache: where decoded and, without augmentation, prepared images are kept.
        workers: threads; 0 is as many as there are cores. Their number changes no image.
    """

    def __init__(
        self,
        split: Split,
        preprocessor: Preprocessor,
        *,
        size: int,
        batch_size: int,
        epoch_size: int,
        balance: float,
        source_balance: float = 0.0,
        recipe: Recipe,
        ramp_epochs: float,
        seed: int | Sequence[int],
        targets: Targets | None = None,
        cache: ImageCache | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.split, self.preprocessor, self.size = split, preprocessor, size
        self.batch_size, self.epoch_size = min(batch_size, epoch_size), epoch_size
        self.recipe, self.ramp_epochs = recipe, ramp_epochs
        self.seed = [seed] if isinstance(seed, int) else list(seed)
        self.targets, self.cache = targets or Targets(), cache or ImageCache(None)
        self._weights = balancing_weights(split, balance, source_balance)
        self._pool = ThreadPoolExecutor(cores(workers), thread_name_prefix="prepare")
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Make ready for an epoch, counted from 0."""
        order = draw(self._weights, self.split.labels, self.epoch_size, np.random.default_rng([*self.seed, epoch]))
        self._plan = (epoch, order)

    @property
    def order(self) -> NDArray[np.int64]:
        """Positions in the split of the images of the current epoch, in order."""
        return self._plan[1]

    def __len__(self) -> int:
        return self.epoch_size // self.batch_size

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], Any, Any]:
        epoch, order = self._plan
        positions = range(index * self.batch_size, (index + 1) * self.batch_size)
        images = list(self._pool.map(lambda position: self._image(epoch, position, int(order[position])), positions))
        return np.stack(images), *self.targets(self.split.labels[order[positions.start : positions.stop]])

    def _image(self, epoch: int, position: int, number: int) -> NDArray[np.uint8]:
        path = self.split.paths[number]
        if self.recipe.policy == "none":
            return self.cache.prepared(path, self.preprocessor, self.size)
        _, seen = draw_version(
            path,
            int(self.split.labels[number]),
            np.random.default_rng([*self.seed, epoch, position]),
            recipe=self.recipe,
            preprocessor=self.preprocessor,
            cache=self.cache,
            size=self.size,
            ramp=self.ramp(epoch),
        )
        return seen

    def ramp(self, epoch: int) -> float:
        """Share of their full probability that the degradations have in an epoch."""
        return min(1.0, 0.5 + 0.5 * epoch / self.ramp_epochs) if self.ramp_epochs > 0 else 1.0
