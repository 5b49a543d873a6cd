"""Speed of the input pipeline: each step by itself, all together, and during training."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from training.augment import augment
from training.batches import AugmentedBatches
from training.config import TrainingConfig
from training.phases import compile_phase, set_trainable, trained_part
from training.prepare import Build, Setup, prepare
from wbc.data.cache import ImageCache, resized
from wbc.data.dataset import cores

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PipelineSpeed:
    """Throughputs in images per second; the single steps use one thread, the pipeline uses all."""

    decode: float  # without the cache
    load: float  # a decoded image from the cache
    augment: float
    prepare: float  # framing, normalisation and filter
    pipeline_cold: float  # with an empty cache, without the network
    pipeline: float  # with a filled cache, without the network
    step: float  # training steps of phase 2, with the pipeline
    load_share: float  # loading time as a share of a step
    pipeline_share: float  # pipeline time as a share of a step; below 1 the network is the bottleneck
    threads: int
    images: int  # number of measured images


def measure_pipeline(config: TrainingConfig, build: Build, *, steps: int = 10) -> PipelineSpeed:
    """Measure the input pipeline of a run and its training steps; writes only the cache.

    Args:
        config: configuration of the run.
        build: builds the network.
        steps: number of measured batches, after one warm-up batch.
    """
    setup = prepare(config, build)
    batches, cache = setup.batches(2), setup.cache
    steps = min(steps, len(batches) - 1)
    order = batches.order[: steps * batches.batch_size]
    paths, labels = [setup.data.train.paths[i] for i in order], setup.data.train.labels[order]
    images = [cache.decoded(path) for path in paths]
    rng = np.random.default_rng(config.seed)
    varied = [augment(image, rng, config.recipe, int(label)) for image, label in zip(images, labels, strict=True)]
    load = _per_second(cache.decoded, paths)
    with tempfile.TemporaryDirectory() as folder:
        pipeline_cold = _pipeline_speed(replace(setup, cache=ImageCache(Path(folder))).batches(2), steps)
    pipeline = _pipeline_speed(batches, steps)
    step = batches.batch_size / _seconds_per_step(setup, batches, steps)
    return PipelineSpeed(
        decode=_per_second(ImageCache(None).decoded, paths),
        load=load,
        augment=_per_second(lambda image: augment(image, rng, config.recipe, 0), images),
        prepare=_per_second(lambda image: resized(setup.preprocessor(image).model_input, config.img_size), varied),
        pipeline_cold=pipeline_cold,
        pipeline=pipeline,
        step=step,
        load_share=step / load,
        pipeline_share=step / pipeline,
        threads=cores(config.workers),
        images=len(paths),
    )


def _per_second(work: Callable[[T], object], items: Sequence[T]) -> float:
    """Return the number of items that `work` processes per second."""
    started = time.perf_counter()
    for item in items:
        work(item)
    return len(items) / (time.perf_counter() - started)


def _pipeline_speed(batches: AugmentedBatches, steps: int) -> float:
    """Return the images per second of `steps` batches, after one that is not measured."""
    batches[0]
    return batches.batch_size * _per_second(batches.__getitem__, range(1, steps + 1))


def _seconds_per_step(setup: Setup, batches: AugmentedBatches, steps: int) -> float:
    """Return the median seconds between the ends of training steps within `fit`."""
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            ends.append(time.perf_counter())
            if len(ends) > steps:
                self.model.stop_training = True

    part = trained_part(setup.model, setup.config)
    set_trainable(setup.model, 2, setup.config)
    compile_phase(part, setup.config, setup.config.phase2_lr, len(batches), setup.data.train.counts.tolist())
    part.fit(batches, epochs=1, callbacks=[Clock()], shuffle=False, verbose=0)
    return float(np.median(np.diff(ends)))
