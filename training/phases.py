"""Trainable layers, optimizer and losses of a phase."""

from __future__ import annotations

import keras
import numpy as np

from training.batches import AUX, MAIN
from training.config import TrainingConfig, parse_class_weights
from training.losses import WBCFocalLoss
from wbc.errors import InvalidParameter
from wbc.nn.classifier import backbone_layers


def trained_part(model: keras.Model, config: TrainingConfig) -> keras.Model:
    """Return a model of the same layers with only the outputs that have a loss.

    If the auxiliary head is disabled, the classifier keeps its output for export and serving, with weights of zero:
    the logit is 0, a probability of 0.5.
    """
    if not config.disable_aux_binary_head or AUX not in model.output:
        return model
    head = model.get_layer(AUX)
    head.set_weights([np.zeros_like(weight) for weight in head.get_weights()])
    return keras.Model(model.input, {MAIN: model.output[MAIN]}, name=f"{model.name}_main")


def set_trainable(model: keras.Model, phase: int, config: TrainingConfig) -> None:
    """Unfreeze only the head in phase 1, and also the backbone from `unfreeze_from` on in phase 2.

    The batch normalisation of a pretrained backbone keeps its statistics: they depend on the device, and a few epochs
    would fit them to the training device.

    Raises:
        InvalidParameter: `unfreeze_from` is not a layer of the backbone.
    """
    layers = backbone_layers(model)
    names = [layer.name for layer in layers]
    start = 0
    if config.unfreeze_from is not None:
        if config.unfreeze_from not in names:
            message = f"unfreeze_from={config.unfreeze_from!r} is not a layer of the backbone"
            raise InvalidParameter(f"{message}; the last ones are {', '.join(names[-5:])}")
        start = names.index(config.unfreeze_from)
    for index, layer in enumerate(layers):
        norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = phase == 2 and index >= start and (not norm or config.trains_batch_norm)


def main_loss(config: TrainingConfig, counts: list[int]) -> keras.losses.Loss:
    """Return the loss of the main head; `counts` is the number of training images per class, for balanced weights."""
    if config.main_loss == "focal":
        weights = parse_class_weights(config.focal_class_weights, counts)
        return WBCFocalLoss(class_weights=weights, label_smoothing=config.label_smoothing)
    return keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=config.label_smoothing)


def compile_phase(model: keras.Model, config: TrainingConfig, peak: float, steps: int, counts: list[int]) -> None:
    """Compile the model with its losses and an optimizer that is already built.

    Args:
        model: the model to train.
        config: configuration of the run.
        peak: highest learning rate.
        steps: steps of the whole phase, for the cosine decay.
        counts: training images per class.
    """
    rate: float | keras.optimizers.schedules.LearningRateSchedule = peak
    if config.lr_patience == 0:
        warmup = max(1, steps // 20)
        rate = keras.optimizers.schedules.CosineDecay(
            peak / 10, max(1, steps - warmup), alpha=0.1, warmup_target=peak, warmup_steps=warmup
        )
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=config.weight_decay,
        global_clipnorm=1.0,
        use_ema=config.ema > 0,
        ema_momentum=config.ema or 0.99,
        ema_overwrite_frequency=None,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma", "alpha"])
    losses = {MAIN: main_loss(config, counts)}
    if AUX in model.output:
        losses[AUX] = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(
        optimizer,
        loss=losses,
        loss_weights={name: 1.0 if name == MAIN else config.aux_loss_weight for name in losses},
        weighted_metrics={name: ["accuracy"] if name == MAIN else [] for name in losses},
    )
    optimizer.build(model.trainable_variables)
