"""Training run: head first, then the whole network; the epoch with the best validation scores is kept."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from training import checkpoint, report
from training.callbacks import BEST, EpochEnd, RichProgress, SetEpoch, TensorBoardLog
from training.checkpoint import RunState
from training.config import TrainingConfig, save_config
from training.focus_monitor import FocusSample, XAIFocusMonitor
from training.phases import compile_phase, set_trainable, trained_part
from training.prepare import Build, Setup, build_with, prepare
from wbc.data.dataset import prepare_all
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.backbones import Backbone
from wbc.run_record import TrainingRecord, versions, write_rows

Prepared = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Prepared images, padded to whole batches, and the labels without the padding."""


def train(
    config: TrainingConfig,
    *,
    resume: bool = False,
    backbone: Backbone | None = None,
    build: Build | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> TrainingRecord:
    """Train a classifier; write `model.keras`, `training.json`, `history.csv` and a report to `config.results_dir`.

    Args:
        config: configuration of the run.
        resume: continue the run in `config.results_dir`, if there is one, after its last finished epoch.
        backbone: feature extractor instead of the configured one.
        build: builds another network instead, with the output `main_out` and a layer `embedding` after its backbone.
            The focus monitor needs the classifier's head: for another network `xai_sample_count` must be 0.
        callbacks: further Keras callbacks for both phases.

    Raises:
        InvalidParameter: the folder has a run and `resume` is false, or the run has another configuration.
        DataError: the folders of the data set do not have the expected layout.
    """
    folder = config.results_dir
    state = _start_or_resume(config, resume)
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.yaml")
    setup = prepare(config, build or build_with(backbone))
    data, preprocessor, model = setup.data, setup.preprocessor, setup.model
    images = prepare_all(data.val, preprocessor, config.img_size, cache=setup.cache, workers=config.workers)
    val = (pad_to_batches(images, config.batch_size), data.val.labels)
    sample = None
    if config.xai_sample_count:
        sample = FocusSample.of(data.val, config.xai_sample_count, preprocessor, config.img_size, setup.cache)
    part = trained_part(model, config)
    if checkpoint.exists(folder):
        checkpoint.load(folder, "model", model.variables)
    for phase in (1, 2):
        if phase < state.phase:
            continue
        if state.phase < phase:
            state.phase, state.phase_epoch, state.phase_over = phase, 0, False
            if state.best is not None:
                model.load_weights(folder / BEST)
            # Save now: the first good epoch of the phase overwrites the best weights, from which the phase starts.
            checkpoint.save(folder, state, model, None)
        _run_phase(setup, part, state, val=val, sample=sample, callbacks=callbacks)
    return _finish(setup, state)


def pad_to_batches(images: NDArray[np.uint8], batch_size: int) -> NDArray[np.uint8]:
    """Repeat the last image to whole batches, which compile once and divide evenly over devices."""
    return np.concatenate([images, images[-1:].repeat(-len(images) % batch_size, axis=0)])


def _start_or_resume(config: TrainingConfig, resume: bool) -> RunState:
    """Return the initial state, or the saved one.

    Raises:
        InvalidParameter: the folder has a run and `resume` is false, or the run has another configuration.
    """
    folder, resolved = config.results_dir, config.model_dump(mode="json")
    if not checkpoint.holds_a_run(folder):
        return RunState(config=resolved)
    if not resume:
        raise InvalidParameter(f"{folder} holds a run already; resume it or name another folder")
    state = checkpoint.load_state(folder)
    different = sorted(name for name in resolved if resolved[name] != state.config.get(name))
    if different:
        raise InvalidParameter(f"{folder} was begun with another {', '.join(different)}; resume with the same")
    return state


def _run_phase(
    setup: Setup,
    part: keras.Model,
    state: RunState,
    *,
    val: Prepared,
    sample: FocusSample | None,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Train the remaining epochs of the current phase."""
    config, phase, model = setup.config, state.phase, setup.model
    epochs, peak = ((config.phase1_epochs, config.phase1_lr), (config.phase2_epochs, config.phase2_lr))[phase - 1]
    if state.phase_epoch >= epochs or state.phase_over:
        return
    set_trainable(model, phase, config)
    batches = setup.batches(phase)
    compile_phase(part, config, peak, epochs * len(batches), setup.data.train.counts.tolist())
    if state.phase_epoch:
        checkpoint.load(config.results_dir, "optimizer", part.optimizer.variables)
    monitor = None
    if sample is not None:
        monitor = XAIFocusMonitor(
            sample,
            every=config.xai_every_n_epochs,
            threshold=config.xai_focus_threshold,
            patience=config.xai_patience,
            rows=state.rows(),
        )
    end = EpochEnd(whole=model, state=state, config=config, peak=peak, val=val, monitor=monitor)
    logs = [RichProgress(phase)]
    if config.tensorboard:
        logs.append(TensorBoardLog(config.results_dir / "tensorboard", len(state.history) - state.phase_epoch))
    part.fit(
        batches,
        initial_epoch=state.phase_epoch,
        epochs=epochs,
        callbacks=[SetEpoch(batches), end, *logs, *callbacks],
        shuffle=False,
        verbose=0,
    )


def _finish(setup: Setup, state: RunState) -> TrainingRecord:
    """Load the best weights and write the model, the record and the report."""
    config, data, model, best = setup.config, setup.data, setup.model, state.best
    if best is None:
        raise InvalidParameter("no epoch was finished; there is nothing to keep")
    folder = config.results_dir
    model.load_weights(folder / BEST)
    model.save(folder / "model.keras")
    if config.model_path is not None:
        config.model_path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "model.keras", config.model_path)
    write_rows(folder / "history.csv", state.history)
    record = TrainingRecord(
        config=state.config,
        preprocessing=setup.preprocessor.spec,
        train_counts=dict(zip(CLASSES, data.train.counts.tolist(), strict=True)),
        val_counts=dict(zip(CLASSES, data.val.counts.tolist(), strict=True)),
        best_epoch=best["epoch"],
        wall_time_s=round(state.wall_time_s, 1),
        versions=versions(keras.backend.backend()),
        val_held_out=data.held_out,
        unreadable={str(file.path): file.reason for file in data.unreadable},
        stops=state.stops,
        parameters=model.count_params(),
        **{name: best[name] for name in ("val_accuracy", "val_balanced_accuracy", "val_loss", "val_macro_f1")},
    )
    (folder / "training.json").write_text(record.model_dump_json(indent=2) + "\n")
    report.write(folder, record, state.history)
    return record
