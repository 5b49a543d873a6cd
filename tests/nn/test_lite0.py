"""EfficientNet-Lite0: its grid, and its ImageNet weights."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from wbc.errors import InvalidParameter
from wbc.nn.backbones import IMAGENET_LITE0, efficientnet_lite0, load_lite0_tensors
from wbc.nn.classifier import build_classifier, load_backbone_weights


@pytest.fixture(scope="module")
def lite0() -> keras.Model:
    image = keras.Input((128, 128, 3))
    return keras.Model(image, efficientnet_lite0(image))


def named(model: keras.Model) -> dict[str, keras.layers.Layer]:
    return {layer.name: layer for layer in model.layers}


def test_grid_has_8x8_places_at_128_pixels(lite0: keras.Model) -> None:
    assert lite0.output.shape == (None, 8, 8, 1280)
    assert lite0.count_params() == pytest.approx(3.41e6, rel=0.01)


def test_imagenet_weights_fill_every_layer(lite0: keras.Model) -> None:
    before = {layer.name: layer.get_weights() for layer in lite0.layers if layer.weights}
    load_lite0_tensors(named(lite0), IMAGENET_LITE0)
    for layer in lite0.layers:
        for old, new in zip(before.get(layer.name, []), layer.get_weights(), strict=True):
            assert np.isfinite(new).all()
            assert (old != new).any(), layer.name
    features = lite0.predict(np.random.default_rng(0).random((2, 128, 128, 3), np.float32), verbose=0)
    assert 0 <= features.min() < features.max() <= 6


def test_another_file_is_refused(lite0: keras.Model, tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InvalidParameter, match="does not contain EfficientNet-Lite0"):
        load_lite0_tensors(named(lite0), tmp_path / "other.npz")


def test_classifier_starts_from_the_shipped_imagenet_weights() -> None:
    model = build_classifier(128, efficientnet_lite0)
    load_backbone_weights(model, "imagenet")
    with np.load(IMAGENET_LITE0) as tensors:
        stem = np.asarray(tensors["_conv_stem.weight"], np.float32).transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.get_layer("stem_conv").get_weights()[0], stem)


@pytest.mark.parametrize("name", ["missing.npz", "other.weights.h5", "broken.npz"])
def test_weights_that_do_not_fit_are_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if not name.startswith("missing"):
        path.write_bytes(b"not an archive")
    with pytest.raises(InvalidParameter, match=r"\.npz for EfficientNet-Lite0\) are accepted"):
        load_backbone_weights(build_classifier(128, efficientnet_lite0), str(path))
