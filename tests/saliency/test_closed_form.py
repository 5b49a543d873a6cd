"""Grad-CAM in closed form against automatic differentiation, and Grad-CAM by automatic differentiation itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from wbc.errors import InvalidParameter
from wbc.labels import CLASSES
from wbc.nn.classifier import ATTENTION, Backbone, build_classifier
from wbc.saliency.closed_form import class_activation_maps, serving_outputs
from wbc.saliency.gradcam import GradCam


@pytest.fixture(scope="module")
def wild(tiny_backbone: Backbone) -> keras.Model:
    """A classifier on 64x64 that was never trained, every weight and every statistic somewhere."""
    model = build_classifier(64, tiny_backbone)
    rng = np.random.default_rng(0)
    weights = []
    for variable in model.weights:
        value = rng.normal(0, 0.4, variable.shape)
        if "variance" in variable.name:
            value = rng.uniform(0.3, 3, variable.shape)
        weights.append(np.asarray(value, np.float32))
    model.set_weights(weights)
    return model


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def by_tape(model: keras.Model, images: NDArray[np.uint8], layer: str) -> NDArray[np.float64]:
    """Grad-CAM of each logit as its paper defines it: mean gradient a channel, weighted sum, ReLU."""
    runner = keras.Model(model.input, [model.get_layer(layer).output, model.output["main_out"]])
    maps = []
    for index in range(len(CLASSES)):
        with tf.GradientTape() as tape:
            features, logits = runner(images, training=False)
            score = logits[:, index]
        gradient = tape.gradient(score, features).numpy().astype(np.float64)
        weights = gradient.mean(axis=(1, 2), keepdims=True)
        maps.append(np.maximum((weights * features.numpy()).sum(axis=-1), 0))
    return np.stack(maps, axis=1)


def closed_form(model: keras.Model, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(class_activation_maps(model, serving_outputs(model)(images, training=False)["attended"]))


def assert_same_maps(found: NDArray[np.floating], expected: NDArray[np.floating]) -> None:
    """Equal within 1e-4 of each map's own maximum, and to the same scale."""
    peak = expected.max(axis=(2, 3), keepdims=True)
    assert np.abs(found - expected).max(axis=(2, 3), keepdims=True).max() <= 1e-4 * max(1.0, float(peak.max()))
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(peak.max()), rtol=1e-3)


class TestClosedForm:
    def test_equals_the_gradient_of_every_logit(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        maps = closed_form(wild, images)
        assert maps.shape == (3, len(CLASSES), 2, 2)
        assert_same_maps(maps, by_tape(wild, images, ATTENTION))

    def test_on_the_trained_model(self, tiny_model: keras.Model, drawn_views: NDArray[np.uint8]) -> None:
        maps = closed_form(tiny_model, drawn_views)
        assert maps.shape == (10, len(CLASSES), 7, 7)
        assert_same_maps(maps, by_tape(tiny_model, drawn_views, ATTENTION))
        assert (maps.max(axis=(1, 2, 3)) > 0).all()

    def test_not_negative(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        assert closed_form(wild, images).min() >= 0

    def test_classes_have_maps_of_their_own(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        maps = closed_form(wild, images)[0]
        assert all(np.abs(maps[a] - maps[b]).max() > 1e-3 for a in range(5) for b in range(a))

    def test_one_image_alone_and_in_a_batch(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        np.testing.assert_allclose(closed_form(wild, images)[1:2], closed_form(wild, images[1:2]), rtol=1e-4, atol=1e-6)

    def test_served_outputs(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        served = serving_outputs(wild)(images, training=False)
        assert set(served) == {"logits", "aux_logit", "embedding", "attended"}
        np.testing.assert_allclose(
            served["embedding"], np.asarray(served["attended"]).mean(axis=(1, 2)), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_array_equal(served["logits"], wild(images, training=False)["main_out"])
        np.testing.assert_array_equal(served["aux_logit"], wild(images, training=False)["aux_binary_out"])


class TestByDifferentiation:
    @pytest.mark.parametrize("layer", [ATTENTION, "conv_3", "relu_2"])
    def test_equals_the_definition_on_any_layer(self, wild: keras.Model, images: NDArray[np.uint8], layer: str) -> None:
        assert_same_maps(GradCam(wild).maps(images, layer), by_tape(wild, images, layer))

    def test_layers_that_have_a_map(self, wild: keras.Model) -> None:
        layers = GradCam(wild).layers
        assert {"conv_1", "norm_conv_2", "conv_3", ATTENTION} <= set(layers)
        assert not {"image", "embedding", "dense_1", "main_out"} & set(layers)

    @pytest.mark.parametrize("layer", ["conv_9", "embedding", "image", ""])
    def test_other_layers_are_refused_with_the_ones_there_are(
        self, wild: keras.Model, images: NDArray[np.uint8], layer: str
    ) -> None:
        with pytest.raises(InvalidParameter, match=f"layer='{layer}' has no activation map") as caught:
            GradCam(wild).maps(images, layer)
        assert ATTENTION in str(caught.value)

    def test_same_images_same_maps(self, wild: keras.Model, images: NDArray[np.uint8]) -> None:
        runner = GradCam(wild)
        np.testing.assert_array_equal(runner.maps(images), runner.maps(images))
