"""How fast images reach the network: loading, augmenting and filtering alone, and beside the whole step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
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
    """Images a second of each part, one thread for the parts and all for the pipeline.

    Attributes:
        decode: decoding a file, one thread, without the cache.
        load: reading a decoded image from the cache, one thread.
        augment: varying it, one thread.
        prepare: framing, normalising and filtering it, one thread.
        pipeline_cold: all of these with all threads, from files into an empty cache, and no network beside them.
        pipeline: the same from the cache.
        step: training steps of phase 2, pipeline and network at once.
        load_share: seconds of loading in a step, as a share of the step.
        pipeline_share: seconds that the pipeline needs for a step's images, as a share of the step: below 1 the network
            is the limit.
        threads: that prepare images.
        images: that each number was measured on.
    """

    decode: float
    load: float
    augment: float
    prepare: float
    pipeline_cold: float
    pipeline: float
    step: float
    load_share: float
    pipeline_share: float
    threads: int
    images: int


def measure_pipeline(config: TrainingConfig, build: Build, *, steps: int = 10) -> PipelineSpeed:
    """Measure the input pipeline of a run and its training steps.

    Args:
        config: the run; nothing of it is written but its cache.
        build: makes its network.
        steps: batches that each number is measured on, after one that is not counted.
    """
    setup = prepare(config, build)
    batches = setup.batches(2)
    steps = min(steps, len(batches) - 1)
    order = batches.order[: steps * batches.batch_size]
    paths, labels = [setup.data.train.paths[i] for i in order], setup.data.train.labels[order]
    fresh, kept = ImageCache(None), setup.cache
    for path in paths:
        kept.decoded(path)
    pictures = [kept.decoded(path) for path in paths]
    rng = np.random.default_rng(config.seed)
    varied = [augment(p, rng, config.recipe, int(label)) for p, label in zip(pictures, labels, strict=True)]
    load = _a_second(kept.decoded, paths)
    with tempfile.TemporaryDirectory() as folder:
        cold = replace(setup, cache=ImageCache(Path(folder))).batches(2)
        pipeline_cold = batches.batch_size / _seconds_a_batch(cold, steps)
    pipeline = batches.batch_size / _seconds_a_batch(batches, steps)
    step = batches.batch_size / _seconds_a_step(setup, batches, steps)
    return PipelineSpeed(
        decode=_a_second(fresh.decoded, paths),
        load=load,
        augment=_a_second(lambda p: augment(p, rng, config.recipe, 0), pictures),
        prepare=_a_second(lambda p: resized(setup.preprocessor(p).model_input, config.img_size), varied),
        pipeline_cold=pipeline_cold,
        pipeline=pipeline,
        step=step,
        load_share=step / load,
        pipeline_share=step / pipeline,
        threads=cores(config.workers),
        images=len(paths),
    )


def _a_second(work: Callable[[T], object], items: Iterable[T]) -> float:
    """Items a second."""
    items = list(items)
    started = time.perf_counter()
    for item in items:
        work(item)
    return len(items) / (time.perf_counter() - started)


def _seconds_a_batch(batches: AugmentedBatches, steps: int) -> float:
    batches[0]
    started = time.perf_counter()
    for index in range(1, steps + 1):
        batches[index]
    return (time.perf_counter() - started) / steps


def _seconds_a_step(setup: Setup, batches: AugmentedBatches, steps: int) -> float:
    """Median seconds from the end of a step to the end of the next, within `fit`."""

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
