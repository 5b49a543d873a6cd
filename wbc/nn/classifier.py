"""Classifier: backbone, attention, and a head with class activation maps in closed form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

import keras

from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.activation import MedSwish
from wbc.nn.attention import WBCAttentionBlock
from wbc.nn.backbones import IMAGENET_LITE0, LITE0, Backbone, densenet121, load_lite0_tensors

PARAMETERS = 7_830_509
"""Number of weights of `build_classifier()` with its defaults, with the batch normalisation statistics."""

ATTENTION = "attention"
"""Name of the layer whose output Grad-CAM explains; all layers before it are the backbone."""

WEIGHTS = (
    "none, imagenet, a .keras file of this classifier, or the weights of its backbone without the top (.weights.h5 for "
    "DenseNet121, .npz for EfficientNet-Lite0) are accepted"
)
"""Values that `load_backbone_weights` accepts."""


def build_classifier(
    image_size: int = 224, backbone: Backbone = densenet121, *, attention_ratio: int = 16, input_reduction: int = 1
) -> keras.Model:
    """Build the model `image uint8 (N, S, S, 3) -> {"main_out": (N, 5) logits, "aux_binary_out": (N, 1) logit}`.

    It consists of the backbone, `WBCAttentionBlock`, global average pooling, and Dense 512 and Dense 256, each with
    batch normalisation, MedSwish and dropout (0.5, 0.3). The softmax is outside the graph. The auxiliary logit is
    positive for `labels.AUX_POSITIVE` and negative for `labels.AUX_NEGATIVE`; for other classes it has no meaning.

    Args:
        image_size: side of the square input in pixels; a multiple of 32 for DenseNet121.
        backbone: feature extractor.
        attention_ratio: reduction factor of the channel attention.
        input_reduction: 1, or 2 to halve the image inside the graph. The last transition of DenseNet121 then has
            stride 1, and the block after it dilation 2 (Chen et al. 2017, arXiv 1706.05587): the maps keep their grid,
            the earlier blocks compute a quarter of the positions, and the same weights fit.

    Raises:
        InvalidParameter: `input_reduction` is neither 1 nor 2.
    """
    if input_reduction not in (1, 2):
        raise InvalidParameter(f"input_reduction={input_reduction}; 1 and 2 are accepted")
    image = keras.Input((image_size, image_size, 3), dtype="uint8", name="image")
    scaled = keras.layers.Rescaling(1 / 255.0, name="scale")(image)
    if input_reduction == 2:
        scaled = keras.layers.AveragePooling2D(2, name="halve")(scaled)
    features = backbone(scaled)
    attended = WBCAttentionBlock(ratio=attention_ratio, name=ATTENTION)(features)
    x = keras.layers.GlobalAveragePooling2D(name="embedding")(attended)
    for index, (units, dropout) in enumerate(((512, 0.5), (256, 0.3)), start=1):
        x = keras.layers.Dense(units, name=f"dense_{index}")(x)
        # With Keras' 0.99 the initial variance of 1, larger than that of the features, persists for 400 steps.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(x)
        x = MedSwish(name=f"medswish_{index}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
    main = keras.layers.Dense(len(CLASSES), dtype="float32", name="main_out")(x)
    aux = keras.layers.Dense(1, dtype="float32", name="aux_binary_out")(x)
    model = keras.Model(image, {"main_out": main, "aux_binary_out": aux}, name="wbc_classifier")
    return keras.models.clone_model(model, clone_function=_dilated) if input_reduction == 2 else model


def _dilated(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Copy a layer; give DenseNet121's last transition stride 1 and the block after it dilation 2.

    At every second position of the finer grid the block computes the same values as on the coarse grid.
    """
    config = layer.get_config()
    if layer.name == "pool4_pool":
        config |= {"strides": 1, "padding": "same"}
    elif re.fullmatch(r"conv5_block\d+_2_conv", layer.name):
        config["dilation_rate"] = 2
    return type(layer).from_config(config)


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers before the attention block, or before `embedding` in a model without one, in order."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[: names.index(ATTENTION if ATTENTION in names else "embedding")])


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


@contextmanager
def _fitting(weights: str) -> Iterator[None]:
    """Turn Keras' errors for a damaged file or another network into an `InvalidParameter`."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, BadZipFile) as error:
        raise InvalidParameter(f"weights={weights!r} do not fit this classifier ({error}); {WEIGHTS}") from error


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Load the initial weights of the backbone.

    Args:
        model: classifier, changed in place.
        weights: `none` (random), `imagenet`, a `.weights.h5` file of `DenseNet121(include_top=False)` or an `.npz` file
            of EfficientNet-Lite0 for a model with that backbone, or a `.keras` file of this classifier at any input
            size, which sets all layers including the head.

    Raises:
        InvalidParameter: the file does not exist, is of another kind or does not fit the model.
    """
    if weights == "none":
        return
    lite0 = any(layer.name == LITE0 for layer in model.layers)
    path = IMAGENET_LITE0 if lite0 and weights == "imagenet" else Path(weights)
    if weights != "imagenet" and not path.is_file():
        raise InvalidParameter(f"no file weights={weights!r}; {WEIGHTS}")
    if weights != "imagenet" and not path.name.endswith((".keras", ".npz" if lite0 else ".weights.h5")):
        raise InvalidParameter(f"weights={weights!r} is a file of another kind; {WEIGHTS}")
    if path.suffix == ".keras":
        with _fitting(weights):
            model.set_weights(keras.saving.load_model(path, compile=False).get_weights())
        return
    if lite0:
        with _fitting(weights):
            load_lite0_tensors({layer.name: layer for layer in model.layers}, path)
        return
    if weights != "imagenet" and not _is_hdf5(path):  # checked before the network is built
        raise InvalidParameter(f"weights={weights!r} is not an HDF5 file, despite its name; {WEIGHTS}")
    source = keras.applications.DenseNet121(
        include_top=False, weights="imagenet" if weights == "imagenet" else None, input_shape=model.input_shape[1:]
    )
    if weights != "imagenet":
        with _fitting(weights):
            source.load_weights(path)
    named = {layer.name: layer for layer in backbone_layers(model)}
    for layer in source.layers:
        if layer.weights:
            named[layer.name].set_weights(layer.get_weights())
