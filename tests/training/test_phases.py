"""Trainable layers, losses and learning rate of a phase."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from conftest import tiny_backbone

from training.batches import AUX, MAIN
from training.losses import WBCFocalLoss
from training.phases import compile_phase, main_loss, set_trainable, trained_part
from wbc.errors import InvalidParameter
from wbc.nn.classifier import build_classifier

COUNTS = [10, 20, 20, 25, 25]


@pytest.fixture(scope="module")
def model():
    return build_classifier(32, tiny_backbone)


def trained_layers(model):
    return {layer.name for layer in model.layers if layer.trainable_weights}


def test_phase_1_trains_only_the_head(model, settings_for):
    set_trainable(model, 1, settings_for())
    assert not trained_layers(model) & {"conv_1", "conv_2", "norm_conv_2", "conv_3"}
    assert trained_layers(model) >= {"attention", "dense_1", "norm_1", "medswish_1", MAIN, AUX}


@pytest.mark.parametrize(
    ("changes", "norm"),
    [
        ({"weights": "none"}, True),
        ({"weights": "imagenet"}, False),
        ({"weights": "imagenet", "batch_norm": "trained"}, True),
        ({"weights": "none", "batch_norm": "frozen"}, False),
    ],
)
def test_phase_2_trains_batch_norm_only_without_pretrained_weights(model, settings_for, changes, norm):
    set_trainable(model, 2, settings_for(**changes))
    assert trained_layers(model) >= {"conv_1", "conv_2", "conv_3", "attention"}
    assert ("norm_conv_2" in trained_layers(model)) == norm


def test_frozen_batch_norm_keeps_its_statistics_in_training(model, settings_for, rng):
    set_trainable(model, 2, settings_for(weights="imagenet"))
    frozen, trained = model.get_layer("norm_conv_2"), model.get_layer("norm_1")
    before = [np.asarray(norm.moving_mean).copy() for norm in (frozen, trained)]
    model(rng.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8), training=True)
    np.testing.assert_array_equal(frozen.moving_mean, before[0])
    assert (np.asarray(trained.moving_mean) != before[1]).any()


def test_unfreeze_from_leaves_the_layers_before_frozen(model, settings_for):
    set_trainable(model, 2, settings_for(unfreeze_from="conv_2"))
    assert "conv_1" not in trained_layers(model)
    assert trained_layers(model) >= {"conv_2", "conv_3"}
    with pytest.raises(InvalidParameter, match="'conv_9' is not a layer of the backbone"):
        set_trainable(model, 2, settings_for(unfreeze_from="conv_9"))


def test_the_main_loss_is_as_configured(settings_for):
    plain = main_loss(settings_for(label_smoothing=0.2), COUNTS)
    assert isinstance(plain, keras.losses.CategoricalCrossentropy)
    assert plain.get_config()["label_smoothing"] == 0.2
    focal = main_loss(settings_for(main_loss="focal", label_smoothing=0.3), COUNTS)
    assert isinstance(focal, WBCFocalLoss)
    assert focal.label_smoothing == 0.3
    assert focal.class_weights == [1.2, 1.1, 1.0, 1.1, 1.15]
    balanced = main_loss(settings_for(main_loss="focal", focal_class_weights="balanced"), COUNTS)
    assert balanced.class_weights == [2.0, 1.0, 1.0, 0.8, 0.8]


def test_the_auxiliary_weight_scales_its_loss(settings_for):
    model = build_classifier(32, tiny_backbone)
    images = np.zeros((4, 32, 32, 3), np.uint8)
    wanted = {MAIN: np.eye(5, dtype=np.float32)[:4], AUX: np.ones((4, 1), np.float32)}
    totals = []
    for weight in (0.0, 2.0):
        compile_phase(model, settings_for(aux_loss_weight=weight), 1e-3, 10, COUNTS)
        scores = model.evaluate(images, wanted, verbose=0, return_dict=True)
        totals.append(scores["loss"] - scores["main_out_loss"] - weight * scores["aux_binary_out_loss"])
    assert totals == pytest.approx([0.0, 0.0], abs=1e-5)


def test_without_its_head_the_auxiliary_output_says_neither_class(settings_for):
    model = build_classifier(32, tiny_backbone)
    part = trained_part(model, settings_for(disable_aux_binary_head=True))
    assert part.output.keys() == {MAIN}
    compile_phase(part, settings_for(), 1e-3, 10, COUNTS)
    images = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3)).astype(np.uint8)
    part.train_on_batch(images, {MAIN: np.eye(5, dtype=np.float32)[:4]})
    answers = model.predict(images, verbose=0)
    assert (answers[AUX] == 0).all()
    assert np.ptp(answers[MAIN]) > 0
    assert trained_part(model, settings_for()) is model


def test_the_learning_rate_follows_a_cosine_or_waits_to_be_reduced(model, settings_for):
    compile_phase(model, settings_for(), 1e-2, 100, COUNTS)
    schedule = model.optimizer._learning_rate
    assert [round(float(schedule(step)), 4) for step in (0, 5, 100)] == [0.001, 0.01, 0.001]
    compile_phase(model, settings_for(lr_patience=2), 1e-2, 100, COUNTS)
    assert float(np.asarray(model.optimizer.learning_rate)) == pytest.approx(1e-2)


def test_the_average_and_decay_are_as_asked_for(model, settings_for):
    compile_phase(model, settings_for(ema=0.9, weight_decay=0.03), 1e-2, 100, COUNTS)
    assert (model.optimizer.use_ema, model.optimizer.ema_momentum) == (True, 0.9)
    assert model.optimizer.weight_decay == 0.03
    compile_phase(model, settings_for(ema=0), 1e-2, 100, COUNTS)
    assert not model.optimizer.use_ema
