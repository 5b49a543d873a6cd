"""Training batches of a split: sampled, augmented and preprocessed, reproducible from the seed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from training.augment import draw_version
from training.config import TrainingConfig
from wbc.data.cache import ImageCache
from wbc.data.dataset import Split, cores
from wbc.labels import AUX_NEGATIVE, AUX_POSITIVE, CLASSES, index_of
from wbc.preprocessing.pipeline import Preprocessor

MAIN, AUX = "main_out", "aux_binary_out"
"""Names of the classifier's outputs."""

MAX_REPEAT = 10.0
"""Largest factor by which class balance repeats an image, so that two basophils are not shown a hundred times each."""


@dataclass(frozen=True, slots=True)
class Targets:
    """Targets and sample weights of the heads.

    Attributes:
        aux: true if there is an auxiliary head.
        positive: class index for which the auxiliary logit is positive.
        negative: class index for which it is negative; the other classes have weight 0.
    """

    aux: bool = True
    positive: int = index_of(AUX_POSITIVE)
    negative: int = index_of(AUX_NEGATIVE)

    def __call__(
        self, labels: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]:
        """Return the targets and the sample weights of each head for labels (N,)."""
        targets = {MAIN: np.eye(len(CLASSES), dtype=np.float32)[labels]}
        weights = {MAIN: np.ones(len(labels), np.float32)}
        if self.aux:
            targets[AUX] = (labels == self.positive).astype(np.float32)[:, None]
            weights[AUX] = np.isin(labels, [self.positive, self.negative]).astype(np.float32)
        return targets, weights


def balancing_weights(split: Split, balance: float, source_balance: float = 0.0) -> NDArray[np.float64]:
    """Return the sampling weight of each image, (N,).

    Args:
        split: the images.
        balance: class balance within each source, from 0 (as found) to 1 (all classes equally often).
        source_balance: balance of the sources, from 0 (as found) to 1 (all sources equally often).
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
    """Sample images systematically: each image and each class as often as its weight says, rounded up or down.

    Args:
        weights: sampling weights of the images.
        labels: class indices of the images.
        size: number of samples.
        rng: source of randomness.

    Returns:
        Positions of images, (size,), in random order.
    """
    line = np.lexsort((rng.random(len(weights)), labels))
    ends = np.cumsum(weights[line])
    points = ends[-1] * (np.arange(size) + rng.random()) / size
    chosen = np.minimum(np.searchsorted(ends, points, side="right"), len(line) - 1)  # rounding can reach the end
    return line[rng.permutation(chosen)]


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled, class-balanced, augmented batches. An image depends only on (seed, epoch, position in the epoch).

    A pool of threads prepares the images of a batch, and `fit` prefetches within the epoch. Keras' own workers are not
    used: their queue can move batches of one epoch into the next. Pass `shuffle=False` to `fit`: its order of the
    batches depends on a generator whose state a resumed run does not have. Call `begin` before an epoch's first batch.

    Args:
        split: training files.
        preprocessor: applied after augmentation.
        config: configuration of the run: sizes, sampling, augmentation, seed and targets.
        phase: phase of the run, 1 or 2; it changes the random numbers, and only phase 2 has an augmentation ramp.
        aux: true if the network has the auxiliary output.
        cache: cache of decoded images and, without augmentation, of prepared ones.
    """

    def __init__(
        self,
        split: Split,
        preprocessor: Preprocessor,
        config: TrainingConfig,
        phase: int,
        *,
        aux: bool = True,
        cache: ImageCache | None = None,
    ) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self.split, self.preprocessor, self.config = split, preprocessor, config
        self.epoch_size = config.epoch_size or len(split.paths)
        self.batch_size = min(config.batch_size, self.epoch_size)
        self.ramp_epochs = config.augmentation_ramp * config.phase2_epochs if phase == 2 else 0.0
        self.recipe, self.seed, self.cache = config.recipe, (config.seed, phase), cache or ImageCache(None)
        positive, negative = index_of(config.aux_positive_class), index_of(config.aux_negative_class)
        self.targets = Targets(aux and not config.disable_aux_binary_head, positive, negative)
        self._weights = balancing_weights(split, config.balance, config.source_balance)
        self._pool = ThreadPoolExecutor(cores(config.workers), thread_name_prefix="prepare")
        self.begin(0)

    def begin(self, epoch: int) -> None:
        """Sample the images of an epoch, counted from 0."""
        order = draw(self._weights, self.split.labels, self.epoch_size, np.random.default_rng([*self.seed, epoch]))
        self._plan = (epoch, order)  # one assignment: a thread that fetches a batch reads both or neither

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
            return self.cache.prepared(path, self.preprocessor, self.config.img_size)
        _, model_input = draw_version(
            path,
            int(self.split.labels[number]),
            np.random.default_rng([*self.seed, epoch, position]),
            recipe=self.recipe,
            preprocessor=self.preprocessor,
            cache=self.cache,
            size=self.config.img_size,
            ramp=self.ramp(epoch),
        )
        return model_input

    def ramp(self, epoch: int) -> float:
        """Return the factor on the probabilities of the camera faults in an epoch, 0.5 to 1."""
        return min(1.0, 0.5 + 0.5 * epoch / self.ramp_epochs) if self.ramp_epochs > 0 else 1.0
