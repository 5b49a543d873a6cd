"""The focus monitor: a network that looks past the cell is stopped, one that looks at it is not."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from conftest import tiny_backbone
from drawn import draw_cell

from training.batches import AUX, MAIN
from training.cache import ImageCache
from training.dataset import read_split
from training.focus_monitor import FocusSample, XAIFocusMonitor, check_focus
from wbc.nn.classifier import build_classifier
from wbc.preprocessing.foreground import Foreground, find_foreground
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor

PREPROCESSOR = Preprocessor(Preprocessing(framing=Framing(mode="off")))
SIZE, COUNT = 64, 60
MARKS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))


def drawn(marked: bool):
    """Cells that a planted corner mark gives away and that are alike otherwise; or that are told by themselves."""
    rng = np.random.default_rng(0)
    images, labels, found = [], np.arange(COUNT) % 5, []
    for label in labels:
        picture = draw_cell(0 if marked else label, rng, SIZE)
        found.append(find_foreground(picture))
        if marked:
            picture[:14, :14] = MARKS[label]
        images.append(picture)
    return np.stack(images), labels, tuple(found)


def trained(monitor, images, labels, epochs=24):
    keras.utils.set_random_seed(0)
    model = build_classifier(SIZE, tiny_backbone)
    part = keras.Model(model.input, {MAIN: model.output[MAIN]})
    part.compile(keras.optimizers.Adam(3e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
    wanted = {MAIN: np.eye(5, dtype=np.float32)[labels]}
    history = part.fit(images, wanted, batch_size=20, epochs=epochs, callbacks=[monitor], verbose=0)
    return part, history


@pytest.fixture(scope="module")
def shortcut():
    images, labels, found = drawn(marked=True)
    monitor = XAIFocusMonitor(FocusSample(images, found), every=2, threshold=0.3, patience=3)
    return (monitor, *trained(monitor, images, labels))


def test_a_network_that_looks_at_a_planted_mark_is_stopped(shortcut):
    monitor, _, history = shortcut
    assert monitor.stopped is not None
    assert "below 0.3 in 3 checks" in monitor.stopped
    assert len(history.epoch) < 24


def test_a_network_that_looks_at_the_cell_is_not(shortcut):
    images, labels, found = drawn(marked=False)
    monitor = XAIFocusMonitor(FocusSample(images, found), every=2, threshold=0.3, patience=3)
    model, history = trained(monitor, images, labels)
    assert monitor.stopped is None
    assert len(history.epoch) == 24
    looking, cheating = check_focus(model, monitor.sample), check_focus(shortcut[1], shortcut[0].sample)
    assert looking.rho > cheating.rho + 0.2
    assert looking.lift > 0 > cheating.lift


def test_the_columns_stand_in_the_logs_of_the_epochs_that_are_checked(shortcut):
    monitor, model, _ = shortcut
    logs: list[dict] = [{}, {}]
    monitor.set_model(model)
    for epoch in (0, 1):
        monitor.on_epoch_end(epoch, logs[epoch])
    assert logs[0] == {}
    assert logs[1].keys() == {
        "focus",
        "focus_spread",
        "focus_coverage",
        "focus_lift",
        "focus_invalid",
        "focus_empty",
    }


@pytest.fixture(scope="module")
def untrained():
    keras.utils.set_random_seed(1)
    return build_classifier(32, tiny_backbone)


def mask_of(share: float, valid: bool = True) -> Foreground:
    cell = np.zeros((32, 32), np.bool_)
    cell[:, : round(32 * share)] = valid
    return Foreground(cell, cell, valid)


def pictures(count: int):
    return np.random.default_rng(0).integers(0, 255, (count, 32, 32, 3)).astype(np.uint8)


def test_an_invalid_mask_gives_no_ratio_and_is_counted(untrained):
    half = check_focus(untrained, FocusSample(pictures(4), (mask_of(0.5), mask_of(0.5, False)) * 2))
    assert half.invalid == 0.5
    assert half.coverage == 0.5
    none = check_focus(untrained, FocusSample(pictures(4), (mask_of(0.5, False),) * 4))
    assert (none.rho, none.spread, none.coverage, none.lift, none.invalid) == (None, None, None, None, 1.0)


def test_an_empty_map_gives_no_ratio_and_is_counted(untrained):
    weights = untrained.get_weights()
    head = untrained.get_layer(MAIN)
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    found = check_focus(untrained, FocusSample(pictures(3), (mask_of(0.5),) * 3))
    untrained.set_weights(weights)
    assert (found.rho, found.empty, found.invalid) == (None, 1.0, 0.0)


def test_masks_that_part_the_frame_part_the_energy(untrained):
    # rho on a mask and on its complement add up to 1: the map is not masked before it is measured.
    left = mask_of(0.25)
    right = Foreground(~left.cell, ~left.cell, True)
    sums = [check_focus(untrained, FocusSample(pictures(3), (mask,) * 3)).rho for mask in (left, right)]
    assert sum(sums) == pytest.approx(1.0, abs=1e-6)


def monitor_of(foregrounds, **changes):
    wanted = {"every": 1, "threshold": 1.0, "patience": 2}
    return XAIFocusMonitor(FocusSample(pictures(len(foregrounds)), foregrounds), **{**wanted, **changes})


def test_checks_without_a_ratio_do_not_stop(untrained):
    monitor = monitor_of((mask_of(0.5, False),) * 2)
    monitor.set_model(untrained)
    for epoch in range(4):
        monitor.on_epoch_end(epoch, {})
    assert monitor.stopped is None


def test_the_streak_goes_on_where_the_rows_end_and_begins_anew_without_them(untrained):
    rows = [{"focus": 0.2}, {"focus": 0.9}, {"focus": 0.2}]
    assert monitor_of((mask_of(0.5),), threshold=0.5, rows=rows).streak == 1
    resumed, fresh = (monitor_of((mask_of(0.5),), rows=before) for before in ([{"focus": 0.2}], []))
    for monitor in (resumed, fresh):
        monitor.set_model(untrained)
        monitor.on_epoch_end(0, {})
    assert resumed.stopped is not None
    assert fresh.stopped is None


def test_the_sample_is_spread_over_the_classes(dataset):
    split = read_split(dataset, "Val")
    sample = FocusSample.of(split, 7, PREPROCESSOR, 32, ImageCache(None))
    assert sample.images.shape == (7, 32, 32, 3)
    assert [f.cell.shape for f in sample.foregrounds] == [(224, 224)] * 7
    assert all(f.valid for f in sample.foregrounds)
    assert len(FocusSample.of(split, 999, PREPROCESSOR, 32, ImageCache(None)).images) == 15


def test_the_auxiliary_head_is_not_asked(untrained):
    assert AUX in untrained.output
    part = keras.Model(untrained.input, {MAIN: untrained.output[MAIN]})
    sample = FocusSample(pictures(2), (mask_of(0.5),) * 2)
    assert check_focus(part, sample) == check_focus(untrained, sample)
