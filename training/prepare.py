"""All of a run that stands before its first step: the data, the preprocessing, the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import keras

from training.batches import AUX, AugmentedBatches, Targets
from training.config import TrainingConfig
from training.devices import use_all_devices
from training.references import fit_preprocessing
from wbc.data.cache import ImageCache
from wbc.data.dataset import TrainingData, cores, load_data
from wbc.labels import index_of
from wbc.preprocessing.pipeline import Preprocessor

Build = Callable[[TrainingConfig], keras.Model]
"""Makes the network of a run, with its starting weights."""


@dataclass(frozen=True, slots=True)
class Setup:
    """All of a run that stands before its first step."""

    config: TrainingConfig
    data: TrainingData
    cache: ImageCache
    preprocessor: Preprocessor
    model: keras.Model

    def batches(self, phase: int) -> AugmentedBatches:
        """The training batches of a phase."""
        config = self.config
        return AugmentedBatches(
            self.data.train,
            self.preprocessor,
            size=config.img_size,
            batch_size=config.batch_size,
            epoch_size=config.epoch_size or len(self.data.train.paths),
            balance=config.balance,
            source_balance=config.source_balance,
            recipe=config.recipe,
            ramp_epochs=config.augmentation_ramp * config.phase2_epochs if phase == 2 else 0.0,
            seed=(config.seed, phase),
            targets=Targets(
                aux=not config.disable_aux_binary_head and AUX in self.model.output,
                positive=index_of(config.aux_positive_class),
                negative=index_of(config.aux_negative_class),
            ),
            cache=self.cache,
            workers=config.workers,
        )


def prepare(config: TrainingConfig, build: Build) -> Setup:
    """Read the data, fit the preprocessing and build the network."""
    cv2.setNumThreads(1)  # images are prepared side by side; OpenCV's own threads would only contend for the cores
    use_all_devices(config.batch_size)
    keras.utils.set_random_seed(config.seed)
    cache = ImageCache(config.cache_dir)
    data = data_of(config, cache)
    preprocessor = Preprocessor(fit_preprocessing(config, data.train, cache))
    return Setup(config, data, cache, preprocessor, build(config))


def data_of(config: TrainingConfig, cache: ImageCache | None = None) -> TrainingData:
    """The splits of a run, the held-out validation split included."""
    return load_data(
        config.data_root,
        config.source,
        val_fraction=config.val_fraction,
        seed=config.seed,
        limit=config.limit,
        cache=cache or ImageCache(config.cache_dir),
        workers=cores(config.workers),
    )
