"""Setup of a run before its first step: devices, data, preprocessing and network; `plan` describes it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import keras
import numpy as np

from training.batches import AUX, MAIN, AugmentedBatches
from training.config import TrainingConfig
from training.phases import set_trainable
from wbc.data.cache import ImageCache
from wbc.data.dataset import Split, TrainingData, cores, load_data
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.backbones import BACKBONES, Backbone
from wbc.nn.classifier import build_classifier, load_backbone_weights
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor
from wbc.preprocessing.stain import MacenkoReference, ReinhardReference

log = logging.getLogger("wbc.training")

Build = Callable[[TrainingConfig], keras.Model]
"""Function that builds the network of a run with its initial weights."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Configuration, data, preprocessing and network of a run."""

    config: TrainingConfig
    data: TrainingData
    cache: ImageCache
    preprocessor: Preprocessor
    model: keras.Model

    def batches(self, phase: int) -> AugmentedBatches:
        """Return the training batches of a phase."""
        aux = AUX in self.model.output
        return AugmentedBatches(self.data.train, self.preprocessor, self.config, phase, aux=aux, cache=self.cache)


def build_with(backbone: Backbone | None = None) -> Build:
    """Return a function that builds the classifier with the configured backbone, or with the given one."""

    def build(config: TrainingConfig) -> keras.Model:
        features = backbone or BACKBONES[config.backbone]
        model = build_classifier(config.img_size, features, input_reduction=config.input_reduction)
        load_backbone_weights(model, config.weights)
        return model

    return build


def prepare(config: TrainingConfig, build: Build) -> Setup:
    """Read the data, fit the preprocessing and build the network."""
    cv2.setNumThreads(1)  # a pool of threads prepares the images; OpenCV's own threads would compete for the cores
    use_all_devices(config.batch_size)
    keras.utils.set_random_seed(config.seed)
    cache = ImageCache(config.cache_dir)
    data = data_of(config, cache)
    preprocessor = Preprocessor(fit_preprocessing(config, data.train, cache))
    return Setup(config, data, cache, preprocessor, build(config))


def data_of(config: TrainingConfig, cache: ImageCache | None = None) -> TrainingData:
    """Read the training and validation splits of a run."""
    return load_data(
        config.data_root,
        config.source,
        val_fraction=config.val_fraction,
        seed=config.seed,
        limit=config.limit,
        cache=cache or ImageCache(config.cache_dir),
        workers=cores(config.workers),
    )


def fit_preprocessing(config: TrainingConfig, train: Split, cache: ImageCache) -> Preprocessing:
    """Return the preprocessing of a run, with stain references fitted on images evenly spaced over the split."""
    # A constant step, not `evenly_spaced`: the references of earlier runs were fitted on these images.
    step = max(1, len(train.paths) // config.normalization_reference_samples)
    framing = {"size": config.img_size, "framing": config.framing, "white_balance": config.white_balance}
    framer = Preprocessor(Preprocessing(**framing))
    sample = [framer(cache.decoded(path)).model_input for path in train.paths[::step]]
    return Preprocessing(
        variant=config.preprocessing,
        **framing,
        color_normalization=config.color_normalization,
        reinhard=ReinhardReference.fit(sample),
        macenko=MacenkoReference.fit(sample) if config.preprocessing == "v4" else None,
    )


def use_all_devices(batch_size: int) -> int:
    """Distribute each batch over all devices under JAX; call it before the model is built.

    Returns:
        The number of devices. It is 1 under TensorFlow, where Keras does not distribute.

    Raises:
        InvalidParameter: the batch size is not a multiple of the number of devices.
    """
    devices = keras.distribution.list_devices() if keras.backend.backend() == "jax" else []
    if len(devices) < 2:
        return 1
    if batch_size % len(devices):
        raise InvalidParameter(
            f"batch_size={batch_size} over {len(devices)} devices; a multiple of their number is needed"
        )
    keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False))
    log.info("data-parallel over %d devices: %s", len(devices), ", ".join(devices))
    return len(devices)


def plan(setup: Setup) -> str:
    """Describe the data and the phases of a run, after a test of one batch; returns several lines of text."""
    config, data, model = setup.config, setup.data, setup.model
    lines = []
    for split in (data.train, data.val):
        counts = ", ".join(f"{name} {count}" for name, count in zip(CLASSES, split.counts.tolist(), strict=True))
        lines.append(f"{split.name}: {len(split.paths)} images ({counts})")
    lines += [f"{len(data.unreadable)} unreadable files left out", f"{model.count_params():,} parameters"]
    for phase, epochs in ((1, config.phase1_epochs), (2, config.phase2_epochs)):
        set_trainable(model, phase, config)
        trained = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
        steps = len(setup.batches(phase))
        lines.append(f"phase {phase}: {epochs} epochs of {steps} steps, {trained:,} trainable parameters")
    started = time.monotonic()
    images, _, _ = setup.batches(1)[0]
    seconds = time.monotonic() - started
    logits = model.predict(images, verbose=0)[MAIN]
    finite = "finite" if np.isfinite(logits).all() else "not finite"
    return "\n".join([*lines, f"one batch: {len(images)} images in {seconds:.2f} s, logits {logits.shape}, {finite}"])
