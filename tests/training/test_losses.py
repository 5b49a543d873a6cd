"""WBCFocalLoss: against its definition, at the edges, and through save and load."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from training.losses import WBCFocalLoss

LOGITS = np.random.default_rng(0).normal(0, 2, (8, 5)).astype(np.float32)
TRUTH = np.eye(5, dtype=np.float32)[np.arange(8) % 5]


def value(loss, truth=TRUTH, logits=LOGITS):
    return float(loss(truth, logits))


def test_save_and_load_keep_every_argument():
    loss = WBCFocalLoss(gamma=1.5, class_weights=[1.2, 1.1, 1.0, 1.1, 1.15], label_smoothing=0.1, from_logits=False)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert isinstance(again, WBCFocalLoss)
    assert again.get_config() == loss.get_config()


def test_class_weights_survive_a_saved_model(tmp_path):
    image = keras.Input((3,))
    model = keras.Model(image, keras.layers.Dense(5)(image))
    model.compile("sgd", WBCFocalLoss(class_weights=[9, 1, 1, 1, 0.5]))
    data = (np.ones((8, 3), np.float32), TRUTH)
    before = model.evaluate(*data, verbose=0)
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").evaluate(*data, verbose=0) == pytest.approx(before)


def test_it_is_what_its_formula_says():
    weights, gamma, smoothing = np.array([1.2, 1.1, 1.0, 1.1, 1.15]), 2.0, 0.1
    p = np.exp(LOGITS.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    target = TRUTH * (1 - smoothing) + smoothing / 5
    expected = (weights * (1 - p) ** gamma * -target * np.log(p)).sum(axis=1).mean()
    loss = WBCFocalLoss(gamma=gamma, class_weights=weights, label_smoothing=smoothing)
    assert value(loss) == pytest.approx(expected, rel=1e-5)
    probabilities = WBCFocalLoss(gamma=gamma, class_weights=weights, label_smoothing=smoothing, from_logits=False)
    assert value(probabilities, logits=p.astype(np.float32)) == pytest.approx(expected, rel=1e-5)


def test_without_focus_it_is_the_cross_entropy():
    plain = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    assert value(WBCFocalLoss(gamma=0.0, label_smoothing=0.1)) == pytest.approx(value(plain), rel=1e-6)


def test_the_worked_number_of_its_docstring():
    logits = np.log(np.array([[0.9, 0.025, 0.025, 0.025, 0.025]], np.float32))
    assert value(WBCFocalLoss(), TRUTH[:1], logits) == pytest.approx(0.00105, abs=1e-5)


def test_a_weighted_class_counts_more():
    first, heavy = TRUTH[:1], WBCFocalLoss(class_weights=[3, 1, 1, 1, 1])
    assert value(heavy, first, LOGITS[:1]) == pytest.approx(3 * value(WBCFocalLoss(), first, LOGITS[:1]), rel=1e-5)
    assert value(heavy, TRUTH[1:2], LOGITS[:1]) == pytest.approx(value(WBCFocalLoss(), TRUTH[1:2], LOGITS[:1]))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_it_learns_from_logits_however_large(gamma, scale):
    logits = keras.Variable(LOGITS * scale)
    layer = keras.layers.Dense(5, use_bias=False, kernel_initializer="identity")
    model = keras.Sequential([keras.Input((5,)), layer])
    model.compile(keras.optimizers.SGD(1e-3), WBCFocalLoss(gamma=gamma), jit_compile=False)
    model.train_on_batch(ops.convert_to_tensor(logits), TRUTH)
    assert np.isfinite(np.asarray(layer.kernel)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"gamma": -1}, "at least 0"),
        ({"label_smoothing": 1.0}, "0 to below 1"),
        ({"class_weights": [1, -1, 1, 1, 1]}, "finite numbers"),
        ({"class_weights": [1, float("nan"), 1, 1, 1]}, "finite numbers"),
    ],
)
def test_bad_arguments_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        WBCFocalLoss(**arguments)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="5 classes and 2 class_weights"):
        value(WBCFocalLoss(class_weights=[1, 2]))
