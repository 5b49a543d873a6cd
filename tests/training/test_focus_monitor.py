"""The focus monitor stops a network that uses the background and not one that uses the cell."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from conftest import tiny_backbone
from drawn import draw_cell

from training.batches import AUX, MAIN
from training.focus_monitor import FocusSample, XAIFocusMonitor, check_focus
from wbc.data.cache import ImageCache
from wbc.data.dataset import read_split
from wbc.nn.classifier import build_classifier
from wbc.preprocessing.foreground import Foreground, find_foreground
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor

PREPROCESSOR = Preprocessor(Preprocessing(framing=Framing(mode="off")))
SIZE, COUNT, EPOCHS = 64, 100, 15
MARKS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))


def dark_only(image):
    """Convolutions without bias on 1 - image, which the bright background leaves silent: a 16x16 map."""
    x = keras.layers.Rescaling(-1.0, offset=1.0)(image)
    for filters, strides in ((8, 2), (12, 2), (16, 1)):
        x = keras.layers.Conv2D(filters, 3, strides=strides, padding="same", activation="relu", use_bias=False)(x)
    return x


@pytest.fixture(scope="module")
def pictures_with_marks():
    """Cells with a coloured mark in a corner, with independent random classes, and the masks of the cells."""
    rng = np.random.default_rng(0)
    cells, marks = rng.integers(0, 5, COUNT), rng.integers(0, 5, COUNT)
    images, found = [], []
    for cell, mark in zip(cells, marks, strict=True):
        picture = draw_cell(cell, rng, SIZE)
        found.append(find_foreground(picture))
        picture[:16, :16] = MARKS[mark]
        images.append(picture)
    return FocusSample(np.stack(images), tuple(found)), {"cell": cells, "mark": marks}


@pytest.fixture(scope="module")
def outcomes(pictures_with_marks):
    """Monitor, model and history of the same network, trained on the class of the cell and on that of the mark."""
    sample, labels = pictures_with_marks
    found = {}
    for target in ("cell", "mark"):
        keras.utils.set_random_seed(0)
        model = build_classifier(SIZE, dark_only)
        for index in (1, 2):
            # Slow statistics: centred features let a class be known by what is absent, and its map is then empty.
            model.get_layer(f"norm_{index}").momentum = 0.99
        part = keras.Model(model.input, {MAIN: model.output[MAIN]})
        part.compile(keras.optimizers.Adam(3e-3), keras.losses.CategoricalCrossentropy(from_logits=True))
        wanted = {MAIN: np.eye(5, dtype=np.float32)[labels[target]]}
        monitor = XAIFocusMonitor(sample, every=3, threshold=0.35, patience=3)
        history = part.fit(sample.images, wanted, batch_size=20, epochs=EPOCHS, callbacks=[monitor], verbose=0)
        found[target] = (monitor, part, history)
    return found


def test_a_network_that_uses_a_planted_mark_is_stopped(outcomes):
    monitor, model, history = outcomes["mark"]
    assert monitor.stopped is not None
    assert "below 0.35 in 3 checks" in monitor.stopped
    assert len(history.epoch) == 9
    assert check_focus(model, monitor.sample)["focus_lift"] < 0.1


def test_a_network_that_uses_the_cell_is_not_stopped(outcomes):
    monitor, model, history = outcomes["cell"]
    assert monitor.stopped is None
    assert len(history.epoch) == EPOCHS
    assert check_focus(model, monitor.sample)["focus_lift"] > 0.3


def test_the_columns_are_in_the_logs_of_the_checked_epochs(untrained):
    monitor = monitor_of((mask_of(0.5),), every=2)
    logs: list[dict] = [{}, {}, {}, {}]
    monitor.set_model(untrained)
    for epoch in range(4):
        monitor.on_epoch_end(epoch, logs[epoch])
    assert logs[0] == logs[2] == {}
    assert (
        logs[1].keys()
        == logs[3].keys()
        == {
            "focus",
            "focus_spread",
            "focus_coverage",
            "focus_lift",
            "focus_invalid",
            "focus_empty",
        }
    )


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
    assert half["focus_invalid"] == 0.5
    assert half["focus_coverage"] == 0.5
    none = check_focus(untrained, FocusSample(pictures(4), (mask_of(0.5, False),) * 4))
    assert (none["focus"], none["focus_spread"], none["focus_coverage"], none["focus_lift"], none["focus_invalid"]) == (
        None,
        None,
        None,
        None,
        1.0,
    )


def test_an_empty_map_gives_no_ratio_and_is_counted(untrained):
    weights = untrained.get_weights()
    head = untrained.get_layer(MAIN)
    head.set_weights([np.zeros_like(w) for w in head.get_weights()])
    found = check_focus(untrained, FocusSample(pictures(3), (mask_of(0.5),) * 3))
    untrained.set_weights(weights)
    assert (found["focus"], found["focus_empty"], found["focus_invalid"]) == (None, 1.0, 0.0)


def test_complementary_masks_have_complementary_ratios(untrained):
    # The ratios of a mask and of its complement add up to 1, because the map is not masked before.
    left = mask_of(0.25)
    right = Foreground(~left.cell, ~left.cell, True)
    sums = [check_focus(untrained, FocusSample(pictures(3), (mask,) * 3))["focus"] for mask in (left, right)]
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


def test_the_auxiliary_head_is_not_needed(untrained):
    assert AUX in untrained.output
    part = keras.Model(untrained.input, {MAIN: untrained.output[MAIN]})
    sample = FocusSample(pictures(2), (mask_of(0.5),) * 2)
    assert check_focus(part, sample) == check_focus(untrained, sample)
