"""Networks of the comparison and their published sizes."""

from __future__ import annotations

import keras
import pytest

from training.backbones import ARCHITECTURES, build_checked
from wbc.errors import InvalidParameter
from wbc.nn.classifier import backbone_layers

PUBLISHED_MILLIONS = dict(zip(ARCHITECTURES, (15.11, 24.75, 3.05, 4.84, 7.70, 7.83), strict=True))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_network_has_the_published_number_of_parameters(name):
    keras.backend.clear_session()
    architecture = ARCHITECTURES[name]
    model = build_checked(name, 32, "none")
    assert model.count_params() == architecture.parameters
    assert round(architecture.parameters / 1e6, 2) == PUBLISHED_MILLIONS[name]
    assert model.output["main_out"].shape == (None, 5)
    assert (model.input_shape, model.inputs[0].dtype) == ((None, 32, 32, 3), "uint8")
    assert not any("dense_1" in layer.name for layer in backbone_layers(model))


def test_another_number_of_parameters_is_an_error(monkeypatch):
    wrong = ARCHITECTURES["MobileNetV2"].__class__("MobileNetV2", 1, ARCHITECTURES["MobileNetV2"].build)
    monkeypatch.setitem(ARCHITECTURES, "MobileNetV2", wrong)
    with pytest.raises(AssertionError, match="3,049,541 parameters; the published network has 1"):
        build_checked("MobileNetV2", 32, "none")


def test_unknown_names_and_unequal_starts_are_refused():
    with pytest.raises(InvalidParameter, match="'VGG19'; one of VGG16, "):
        build_checked("VGG19", 32, "none")
    with pytest.raises(InvalidParameter, match="none or imagenet is accepted"):
        build_checked("VGG16", 32, "mine.weights.h5")
