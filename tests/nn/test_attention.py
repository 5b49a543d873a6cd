"""WBCAttentionBlock: save and load, size, gates and products."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from wbc.nn.attention import WBCAttentionBlock


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


@pytest.fixture
def features() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (3, 7, 7, 32)).astype(np.float32)


class TestRoundTrip:
    def test_configuration(self) -> None:
        config = WBCAttentionBlock(ratio=8, kernel_size=3, name="att").get_config()
        assert (config["ratio"], config["kernel_size"], config["name"]) == (8, 3, "att")
        assert WBCAttentionBlock.from_config(config).get_config() == config

    def test_save_and_load(self, tmp_path: Path, features: np.ndarray) -> None:
        image = keras.Input((7, 7, 32))
        model = keras.Model(image, WBCAttentionBlock(ratio=8, kernel_size=3, name="att")(image))
        rng = np.random.default_rng(1)
        model.set_weights([rng.normal(0, 0.5, weight.shape) for weight in model.get_weights()])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded.get_layer("att"), WBCAttentionBlock)
        np.testing.assert_array_equal(loaded(features), model(features))


class TestSize:
    def test_132259_parameters_on_1024_channels(self) -> None:
        block = WBCAttentionBlock()
        block.build((None, 7, 7, 1024))
        assert block.count_params() == 132_259
        # 1024*64 + 64, 64*1024 + 1024, 7*7*2 + 1: both layers of the MLP and the convolution have biases
        assert [tuple(w.shape) for w in block.weights] == [(1024, 64), (64,), (64, 1024), (1024,), (7, 7, 2, 1), (1,)]

    @pytest.mark.parametrize("grid", [(7, 7), (1, 1), (5, 9)])
    def test_map_keeps_its_shape(self, grid: tuple[int, int]) -> None:
        block = WBCAttentionBlock()
        x = np.ones((2, *grid, 16), np.float32)
        assert block(x).shape == x.shape
        assert block.compute_output_shape((None, *grid, 16)) == (None, *grid, 16)

    @pytest.mark.parametrize("shape", [(None, 7, 7, 15), (None, 7, 7, None), (None, 49, 32), (None, 32)])
    def test_other_inputs_are_refused(self, shape: tuple[int | None, ...]) -> None:
        with pytest.raises(ValueError, match=r"expected \(N, H, W, C\) with C >= 16, received"):
            WBCAttentionBlock().build(shape)


class TestGates:
    def test_lie_between_0_and_1(self, features: np.ndarray) -> None:
        block = WBCAttentionBlock()
        gain = np.asarray(block(features)) / features  # product of both gates
        assert (gain > 0).all()
        assert (gain < 1).all()

    def test_gain_is_one_number_a_channel_times_one_a_place(self, features: np.ndarray) -> None:
        gain = np.log(np.asarray(WBCAttentionBlock()(features), np.float64) / features)
        apart = gain - gain.mean(axis=3, keepdims=True) - gain.mean(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(apart + gain.mean(axis=(1, 2, 3), keepdims=True), 0, atol=1e-4)

    def test_channel_gate_then_spatial_gate(self, features: np.ndarray) -> None:
        """The whole block in NumPy, with a 1x1 spatial kernel."""
        block = WBCAttentionBlock(ratio=16, kernel_size=1)
        block.build(features.shape)
        rng = np.random.default_rng(2)
        block.set_weights([rng.normal(0, 0.5, weight.shape) for weight in block.get_weights()])
        into, bias_in, out, bias_out, kernel, bias = (weight.astype(np.float64) for weight in block.get_weights())

        def mlp(pooled: np.ndarray) -> np.ndarray:
            return np.maximum(pooled @ into + bias_in, 0) @ out + bias_out

        channel = sigmoid(mlp(features.mean(axis=(1, 2))) + mlp(features.max(axis=(1, 2))))
        gated = features * channel[:, None, None, :]
        planes = np.stack([gated.mean(axis=-1), gated.max(axis=-1)], axis=-1)
        expected = gated * sigmoid(planes @ kernel[0, 0] + bias)
        np.testing.assert_allclose(block(features), expected, rtol=1e-4, atol=1e-5)

    def test_zero_weights_halve_twice(self, features: np.ndarray) -> None:
        block = WBCAttentionBlock()
        block.build(features.shape)
        block.set_weights([np.zeros(weight.shape) for weight in block.get_weights()])
        np.testing.assert_allclose(block(features), features / 4, rtol=1e-6)
