"""The classifier: its size, its outputs, its backbone and its initial weights."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.activation import MedSwish
from wbc.nn.attention import WBCAttentionBlock
from wbc.nn.classifier import (
    ATTENTION,
    PARAMETERS,
    Backbone,
    backbone_layers,
    build_classifier,
    load_backbone_weights,
)


@pytest.fixture(scope="module")
def densenet() -> keras.Model:
    """The real one; its weights are not to be relied on."""
    return build_classifier()


@pytest.fixture
def small(tiny_backbone: Backbone) -> keras.Model:
    """A classifier with the tiny backbone, on 64x64."""
    return build_classifier(64, tiny_backbone)


class TestDenseNet:
    def test_has_7830509_parameters(self, densenet: keras.Model) -> None:
        assert densenet.count_params() == PARAMETERS == 7_830_509

    def test_attention_stands_on_7x7x1024(self, densenet: keras.Model) -> None:
        block = densenet.get_layer(ATTENTION)
        assert isinstance(block, WBCAttentionBlock)
        assert block.output.shape == (None, 7, 7, 1024)
        assert block.count_params() == 132_259

    def test_halved_inside_it_has_the_same_weights_and_grid(self, densenet: keras.Model) -> None:
        halved = build_classifier(input_reduction=2)
        assert halved.input_shape == densenet.input_shape
        assert halved.get_layer("conv1_conv").input.shape == (None, 118, 118, 3)
        assert halved.get_layer(ATTENTION).output.shape == (None, 7, 7, 1024)
        assert [w.shape for w in halved.weights] == [w.shape for w in densenet.weights]

    def test_halved_inside_every_second_place_is_that_of_the_small_picture(self) -> None:
        small, halved = build_classifier(128), build_classifier(256, input_reduction=2)
        halved.set_weights(small.get_weights())
        images = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), dtype=np.uint8)
        coarse = keras.Model(small.input, small.get_layer(ATTENTION).input)(images)
        fine = keras.Model(halved.input, halved.get_layer(ATTENTION).input)(images.repeat(2, 1).repeat(2, 2))
        assert fine.shape == (1, 8, 8, 1024)
        np.testing.assert_allclose(np.asarray(fine)[:, ::2, ::2], coarse, atol=1e-5)

    def test_another_reduction(self, tiny_backbone: Backbone) -> None:
        with pytest.raises(InvalidParameter, match="input_reduction=3; 1 and 2 are accepted"):
            build_classifier(64, tiny_backbone, input_reduction=3)

    def test_head(self, densenet: keras.Model) -> None:
        kinds = [layer.__class__.__name__ for layer in densenet.layers[-10:]]
        block = ["Dense", "BatchNormalization", "MedSwish", "Dropout"]
        assert kinds == [*block, *block, "Dense", "Dense"]
        assert [densenet.get_layer(f"dropout_{index}").rate for index in (1, 2)] == [0.5, 0.3]
        assert [densenet.get_layer(f"dense_{index}").units for index in (1, 2)] == [512, 256]


class TestOutputs:
    def test_names_shapes_and_types(self, small: keras.Model) -> None:
        assert small.input.dtype == "uint8"
        assert small.input_shape == (None, 64, 64, 3)
        assert {name: out.shape for name, out in small.output.items()} == {
            "main_out": (None, len(CLASSES)),
            "aux_binary_out": (None, 1),
        }

    def test_logits_and_no_probabilities(self, small: keras.Model) -> None:
        images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
        logits = small.predict(images, verbose=0)["main_out"]
        assert logits.dtype == np.float32
        assert (logits < 0).any()

    def test_scaling_is_inside(self, small: keras.Model) -> None:
        scale = small.get_layer("scale")
        assert float(np.max(scale(np.full((1, 2, 2, 3), 255, np.uint8)))) == pytest.approx(1.0)

    def test_half_precision_policy_keeps_the_logits_in_single(self, tiny_backbone: Backbone) -> None:
        keras.config.set_dtype_policy("mixed_float16")
        try:
            model = build_classifier(64, tiny_backbone)
        finally:
            keras.config.set_dtype_policy("float32")
        assert {str(out.dtype) for out in model.output.values()} == {"float32"}
        assert str(model.get_layer("dense_1").output.dtype) == "float16"

    def test_more_reduction(self, tiny_backbone: Backbone) -> None:
        assert build_classifier(64, tiny_backbone, attention_ratio=4).get_layer(ATTENTION).ratio == 4

    def test_save_and_load(self, small: keras.Model, tmp_path: Path) -> None:
        small.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        images = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
        for name, value in loaded(images).items():
            np.testing.assert_array_equal(value, small(images)[name])
        assert isinstance(loaded.get_layer("medswish_2"), MedSwish)


def test_the_backbone_ends_before_the_attention(small: keras.Model) -> None:
    names = [layer.name for layer in backbone_layers(small)]
    assert names == ["image", "scale", "conv_1", "conv_2", "norm_conv_2", "relu_2", "conv_3"]


class TestInitialWeights:
    def test_none_changes_nothing(self, small: keras.Model) -> None:
        before = small.get_weights()
        load_backbone_weights(small, "none")
        for old, new in zip(before, small.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_classifier_of_another_input_size(
        self, small: keras.Model, tiny_backbone: Backbone, tmp_path: Path
    ) -> None:
        small.save(tmp_path / "model.keras")
        larger = build_classifier(96, tiny_backbone)
        load_backbone_weights(larger, str(tmp_path / "model.keras"))
        for old, new in zip(small.get_weights(), larger.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("nowhere.keras", None, "no file"),
            ("words.txt", b"words", "file of another kind"),
            ("model.h5", b"\x89HDF\r\n\x1a\n", "file of another kind"),
            ("words.keras", b"words", "do not fit this classifier"),
            ("words.weights.h5", b"words", "is not an HDF5 file"),
        ],
    )
    def test_wrong_file(self, small: keras.Model, tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(InvalidParameter, match=words) as caught:
            load_backbone_weights(small, str(path))
        assert name in str(caught.value)
        assert "are accepted" in str(caught.value)

    def test_folder(self, small: keras.Model, tmp_path: Path) -> None:
        with pytest.raises(InvalidParameter, match="no file"):
            load_backbone_weights(small, str(tmp_path))

    def test_another_network(self, small: keras.Model, tmp_path: Path) -> None:
        image = keras.Input((3,))
        keras.Model(image, keras.layers.Dense(2)(image)).save(tmp_path / "other.keras")
        with pytest.raises(InvalidParameter, match="do not fit this classifier"):
            load_backbone_weights(small, str(tmp_path / "other.keras"))

    def test_densenet_without_its_top(self, densenet: keras.Model, tmp_path: Path) -> None:
        source = keras.applications.DenseNet121(include_top=False, weights=None, input_shape=(224, 224, 3))
        source.save_weights(tmp_path / "backbone.weights.h5")
        head = densenet.get_layer("dense_1").get_weights()
        load_backbone_weights(densenet, str(tmp_path / "backbone.weights.h5"))
        for name in ("conv1_conv", "conv3_block7_1_bn", "conv5_block16_2_conv", "bn"):
            for old, new in zip(
                source.get_layer(name).get_weights(), densenet.get_layer(name).get_weights(), strict=True
            ):
                np.testing.assert_array_equal(old, new)
        for old, new in zip(head, densenet.get_layer("dense_1").get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)
