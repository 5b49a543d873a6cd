"""Batches: sampling, targets, and images that depend only on seed, epoch and position."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from training.batches import AUX, MAIN, AugmentedBatches, Targets, draw
from training.callbacks import SetEpoch
from training.config import TrainingConfig
from wbc.data.cache import ImageCache
from wbc.data.dataset import prepare_all, read_split
from wbc.preprocessing.framing import Framing
from wbc.preprocessing.pipeline import Preprocessing, Preprocessor

PREPROCESSOR = Preprocessor(Preprocessing(framing=Framing(mode="off")))


@pytest.fixture
def split(dataset):
    return read_split(dataset, "Train")


BASE = {"img_size": 32, "batch_size": 6, "epoch_size": 20, "balance": 0.0, "source_balance": 0.0, "seed": 3}


def batches(split, cache=None, kind=AugmentedBatches, **changes):
    return kind(split, PREPROCESSOR, TrainingConfig(**{**BASE, **changes}), phase=2, cache=cache)


def all_of(data):
    return np.concatenate([data[index][0] for index in range(len(data))])


def test_the_draw_is_as_even_as_whole_numbers_allow(rng):
    weights = np.array([1.0, 1.0, 2.0, 4.0, 0.0, 8.0])
    labels = np.array([0, 0, 1, 1, 2, 2])
    for size in (1, 7, 16, 33):
        drawn = draw(weights, labels, size, rng)
        for found, share in (
            (np.bincount(drawn, minlength=6), weights / weights.sum()),
            (np.bincount(labels[drawn], minlength=3), np.bincount(labels, weights) / weights.sum()),
        ):
            assert found.sum() == size
            assert (found >= np.floor(share * size - 1e-9)).all()
            assert (found <= np.ceil(share * size + 1e-9)).all()


def test_an_epoch_as_large_as_the_split_takes_every_image_once(split, rng):
    assert sorted(draw(np.ones(30), np.zeros(30, np.int64), 30, rng)) == list(range(30))
    assert sorted(batches(split, epoch_size=30).order) == list(range(30))


@pytest.mark.parametrize(("balance", "least", "most"), [(0.0, 4, 5), (1.0, 8, 8)])
def test_balance_draws_a_rare_class_more_often(split, balance, least, most):
    rare = split.only(np.flatnonzero((split.labels != 0) | (np.arange(30) < 3)))  # 3 basophils, 6 of the others
    assert rare.counts.tolist() == [3, 6, 6, 6, 6]
    drawn = rare.labels[batches(rare, balance=balance, epoch_size=40).order]
    assert least <= (drawn == 0).sum() <= most


def test_an_image_depends_on_seed_epoch_and_position_only(split):
    one, other = batches(split, workers=1), batches(split, workers=4)
    for data in (one, other):
        data.begin(2)
    reference = all_of(one)
    assert (all_of(other) == reference).all()
    last = other[len(other) - 1][0]  # out of order
    assert (last == reference[-6:]).all()
    other.begin(3)
    assert (all_of(other) != reference).any()
    other.begin(2)
    assert (all_of(other) == reference).all()
    changed = batches(split, seed=4)
    changed.begin(2)
    assert (all_of(changed) != reference).any()


def test_an_image_drawn_twice_is_augmented_twice(split):
    one = split.only(np.array([0]))
    images = batches(one, epoch_size=6)[0][0]
    assert len({image.tobytes() for image in images}) == 6


def test_the_incomplete_batch_is_dropped_and_a_small_epoch_is_one_batch(split):
    assert len(batches(split)) == 3
    small = batches(split, epoch_size=4)
    assert len(small) == 1
    assert small[0][0].shape == (4, 32, 32, 3)


def test_without_augmentation_the_images_are_the_prepared_ones(split, tmp_path):
    cache = ImageCache(tmp_path)
    data = batches(split, augmentation="none", cache=cache)
    expected = prepare_all(split, PREPROCESSOR, 32)
    assert (all_of(data) == expected[data.order[:18]]).all()
    folders = sorted(path.name for path in tmp_path.iterdir())
    assert "decoded" in folders
    assert len(folders) == 2  # prepared ones are cached too, because there is no augmentation


def test_an_augmented_image_is_not_kept_prepared(split, tmp_path):
    all_of(batches(split, augmentation="published", cache=ImageCache(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["decoded"]


def test_the_auxiliary_head_learns_from_its_two_classes_only():
    wanted, weights = Targets(positive=4, negative=2)(np.arange(5))
    assert wanted[MAIN].tolist() == np.eye(5).tolist()
    assert wanted[AUX].ravel().tolist() == [0, 0, 0, 0, 1]
    assert weights[AUX].tolist() == [0, 0, 1, 0, 1]
    assert weights[MAIN].tolist() == [1] * 5
    wanted, weights = Targets(positive=0, negative=1)(np.arange(5))
    assert wanted[AUX].ravel().tolist() == [1, 0, 0, 0, 0]
    assert weights[AUX].tolist() == [1, 1, 0, 0, 0]
    assert Targets(aux=False)(np.arange(5))[0].keys() == {MAIN}


def test_the_ramp_rises_from_a_half(split):
    data = batches(split, augmentation_ramp=1.0, phase2_epochs=4)
    assert [data.ramp(epoch) for epoch in (0, 2, 4, 9)] == [0.5, 0.75, 1.0, 1.0]
    assert batches(split).ramp(0) == 1.0


def test_fit_sees_the_batches_in_order_and_of_the_right_epoch(split):
    # The run can only be resumed if Keras neither shuffles batches nor carries some over from one epoch to the next.
    class Recording(AugmentedBatches):
        def __getitem__(self, index):
            images, wanted, weights = super().__getitem__(index)
            mark = np.full((len(images), 1), 100.0 * self._plan[0] + index, np.float32)
            return mark, wanted[MAIN], weights[MAIN]

    seen = []

    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(5)

        def call(self, x):
            return self.dense(x)

        def train_step(self, data):
            seen.append(float(data[0][0, 0]))
            return {"loss": 0.0}

    data = batches(split, kind=Recording, augmentation="none")
    net = Net()
    net.compile("sgd", "mse", run_eagerly=True)
    net.fit(data, initial_epoch=1, epochs=4, callbacks=[SetEpoch(data)], shuffle=False, verbose=0)
    assert seen == [100.0 * epoch + index for epoch in (1, 2, 3) for index in range(3)]
