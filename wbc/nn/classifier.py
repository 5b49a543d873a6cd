"""The classifier: DenseNet121, attention, and a head from which the class activation maps follow in closed form."""

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
"""All weights of `build_classifier()` with its defaults, the batch-norm statistics included."""

ATTENTION = "attention"
"""Name of the layer whose output is the Grad-CAM target; all layers before it are the backbone."""

WEIGHTS = (
    "none, imagenet, a .keras of this classifier, and, without the top, a .weights.h5 of DenseNet121 or an .npz of "
    "EfficientNet-Lite0 for that backbone are accepted"
)
"""What `load_backbone_weights` takes."""


def build_classifier(
    image_size: int = 224, backbone: Backbone = densenet121, *, attention_ratio: int = 16, input_reduction: int = 1
) -> keras.Model:
    """The model `image uint8 (N, S, S, 3) -> {"main_out": (N, 5) logits, "aux_binary_out": (N, 1) logit}`.

    Backbone, `WBCAttentionBlock`, global average pooling, then Dense 512 and Dense 256, each with batch norm,
    MedSwish and dropout (0.5, 0.3). The softmax is outside the graph. The auxiliary logit is positive for
    `labels.AUX_POSITIVE` against `labels.AUX_NEGATIVE` and says nothing of the other classes.

    Args:
        image_size: side of the square input in pixels; a multiple of 32 for DenseNet121.
        backbone: the feature extractor.
        attention_ratio: reduction of the channel attention.
        input_reduction: 1, or 2 to halve the picture inside the graph. DenseNet121 then leaves out its last step of 2
            and dilates the block behind it (Chen et al. 2017, arXiv 1706.05587): the maps keep the grid of the whole
            picture, all blocks before work on a quarter of the places, and the weights fit both.

    Raises:
        InvalidParameter: another reduction.
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
        # Keras' 0.99 keeps the initial variance of 1, larger than that of the features, through 400 steps.
        x = keras.layers.BatchNormalization(momentum=0.9, name=f"norm_{index}")(x)
        x = MedSwish(name=f"medswish_{index}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout_{index}")(x)
    main = keras.layers.Dense(len(CLASSES), dtype="float32", name="main_out")(x)
    aux = keras.layers.Dense(1, dtype="float32", name="aux_binary_out")(x)
    model = keras.Model(image, {"main_out": main, "aux_binary_out": aux}, name="wbc_classifier")
    return keras.models.clone_model(model, clone_function=_dilated) if input_reduction == 2 else model


def _dilated(layer: keras.layers.Layer) -> keras.layers.Layer:
    """A copy of a layer; of DenseNet121 the last transition takes no step, and the block behind it is dilated by 2.

    At every second place of the finer grid the block computes what it did on the coarse one.
    """
    config = layer.get_config()
    if layer.name == "pool4_pool":
        config |= {"strides": 1, "padding": "same"}
    elif re.fullmatch(r"conv5_block\d+_2_conv", layer.name):
        config["dilation_rate"] = 2
    return type(layer).from_config(config)


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """The layers before the attention block, in order."""
    names = [layer.name for layer in model.layers]
    return list(model.layers[: names.index(ATTENTION)])


def set_backbone_trainable(model: keras.Model, trainable: bool, *, from_layer: str | None = None) -> None:
    """Freeze the backbone, or unfreeze it from a layer on; its batch-norm layers stay frozen either way.

    Frozen batch norm keeps the statistics that the backbone came with: they carry the device, and a few
    fine-tuning epochs would overfit them to one (see docs/decisions).

    Raises:
        InvalidParameter: `from_layer` is not a layer of the backbone.
    """
    layers = backbone_layers(model)
    names = [layer.name for layer in layers]
    if from_layer is not None and from_layer not in names:
        raise InvalidParameter(f"from_layer={from_layer!r} is not a layer of the backbone; the first are {names[:5]}")
    start = names.index(from_layer) if from_layer is not None else 0
    for index, layer in enumerate(layers):
        layer.trainable = trainable and index >= start and not isinstance(layer, keras.layers.BatchNormalization)


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8) == b"\x89HDF\r\n\x1a\n"


@contextmanager
def _refused(weights: str) -> Iterator[None]:
    """Turns what Keras raises for a file that is damaged or of another network into an error of this package."""
    try:
        yield
    except (ValueError, TypeError, KeyError, OSError, BadZipFile) as error:
        raise InvalidParameter(f"weights={weights!r} do not fit this classifier ({error}); {WEIGHTS}") from error


def load_backbone_weights(model: keras.Model, weights: str) -> None:
    """Give the backbone its starting weights.

    Args:
        weights: `none` (random), `imagenet`, a `.weights.h5` of `DenseNet121(include_top=False)` or an `.npz` of
            EfficientNet-Lite0 for a model with that backbone, or a `.keras` file of this classifier at any input size
            (then every layer is taken over, the head included).

    Raises:
        InvalidParameter: there is no such file, or it is of neither kind.
    """
    if weights == "none":
        return
    lite0 = any(layer.name == LITE0 for layer in model.layers)
    path = IMAGENET_LITE0 if lite0 and weights == "imagenet" else Path(weights)
    if weights != "imagenet" and not path.is_file():
        raise InvalidParameter(f"weights={weights!r} is no file; {WEIGHTS}")
    if weights != "imagenet" and not path.name.endswith((".keras", ".npz" if lite0 else ".weights.h5")):
        raise InvalidParameter(f"weights={weights!r} is a file of another kind; {WEIGHTS}")
    if path.suffix == ".keras":
        with _refused(weights):
            model.set_weights(keras.saving.load_model(path, compile=False).get_weights())
        return
    if lite0:
        with _refused(weights):
            load_lite0_tensors({layer.name: layer for layer in model.layers}, path)
        return
    if weights != "imagenet" and not _is_hdf5(path):  # found out before a network is built for nothing
        raise InvalidParameter(f"weights={weights!r} is no HDF5 file, whatever its name; {WEIGHTS}")
    source = keras.applications.DenseNet121(
        include_top=False, weights="imagenet" if weights == "imagenet" else None, input_shape=model.input_shape[1:]
    )
    if weights != "imagenet":
        with _refused(weights):
            source.load_weights(path)
    named = {layer.name: layer for layer in backbone_layers(model)}
    for layer in source.layers:
        if layer.weights:
            named[layer.name].set_weights(layer.get_weights())
