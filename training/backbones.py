"""Networks of the backbone comparison: five plain networks with the published head, and the classifier."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
from keras import ops

from training.batches import MAIN
from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.classifier import build_classifier, load_backbone_weights


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of the comparison.

    Attributes:
        name: name in the published table.
        parameters: number of weights, with the batch normalisation statistics; the input size does not change it.
        build: builds the network for an input side and the initial weights `none` or `imagenet`.
    """

    name: str
    parameters: int
    build: Callable[[int, str], keras.Model]


def plain(application: Callable[..., keras.Model], scale: Callable[[Any], Any]) -> Callable[[int, str], keras.Model]:
    """Return a builder of a `keras.applications` backbone with its own input scaling and the published head.

    The head is Dense 512, Dense 256, Dense 5; batch normalisation, ReLU and dropout (0.5, 0.3) follow each of the first
    two, as in the classifier.
    """

    def build(image_size: int, weights: str) -> keras.Model:
        image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
        scaled = scale(ops.cast(image, "float32"))
        start = None if weights == "none" else weights
        x = application(include_top=False, weights=start, input_tensor=scaled).output
        x = keras.layers.GlobalAveragePooling2D(name="embedding")(x)
        for index, (units, dropout) in enumerate(((512, 0.5), (256, 0.3)), start=1):
            x = keras.layers.Dense(units, name=f"dense_{index}")(x)
            x = keras.layers.BatchNormalization(name=f"norm_{index}")(x)
            x = keras.layers.ReLU(name=f"relu_{index}")(x)
            x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
        return keras.Model(image, {MAIN: keras.layers.Dense(len(CLASSES), name=MAIN)(x)})

    return build


def _classifier(image_size: int, weights: str) -> keras.Model:
    model = build_classifier(image_size)
    load_backbone_weights(model, weights)
    return model


def _scale(factor: float, image: Any, offset: float = 0.0) -> Any:
    return keras.layers.Rescaling(factor, offset=offset, name="scale")(image)


def _caffe(image: Any) -> Any:
    """Convert to BGR and subtract the mean of ImageNet, as VGG was trained (Simonyan and Zisserman 2015)."""
    return keras.layers.Rescaling(1.0, offset=[-103.939, -116.779, -123.68], name="scale")(ops.flip(image, axis=-1))


UNIT, SYMMETRIC = partial(_scale, 1 / 255.0), partial(_scale, 1 / 127.5, offset=-1.0)
APPLICATIONS = keras.applications
ARCHITECTURES: dict[str, Architecture] = {
    a.name: a
    for a in (
        Architecture("VGG16", 15_113_029, plain(APPLICATIONS.VGG16, _caffe)),
        Architecture("ResNet50V2", 24_749_573, plain(APPLICATIONS.ResNet50V2, SYMMETRIC)),
        Architecture("MobileNetV2", 3_049_541, plain(APPLICATIONS.MobileNetV2, SYMMETRIC)),
        # EfficientNet contains its scaling.
        Architecture("EfficientNetB0", 4_841_128, plain(APPLICATIONS.EfficientNetB0, lambda image: image)),
        Architecture("DenseNet121", 7_697_989, plain(APPLICATIONS.DenseNet121, UNIT)),
        Architecture("DenseNet121-attention-MedSwish", 7_830_509, _classifier),
    )
}
"""Networks by name, in the order of the published table. Both DenseNets take inputs in [0, 1], so that they differ only
in the attention block, MedSwish and the auxiliary head."""


def build_checked(name: str, image_size: int, weights: str) -> keras.Model:
    """Build a network of the comparison and check its number of parameters.

    Raises:
        InvalidParameter: unknown network, or initial weights that not all networks have.
        AssertionError: the number of parameters differs from the published network.
    """
    if name not in ARCHITECTURES:
        raise InvalidParameter(f"model {name!r}; one of {', '.join(ARCHITECTURES)} is accepted")
    if weights not in ("none", "imagenet"):
        raise InvalidParameter(f"weights={weights!r}; none or imagenet is accepted, so that all networks start alike")
    architecture = ARCHITECTURES[name]
    model = architecture.build(image_size, weights)
    if model.count_params() != architecture.parameters:
        raise AssertionError(
            f"{name} has {model.count_params():,} parameters; the published network has {architecture.parameters:,}"
        )
    return model
