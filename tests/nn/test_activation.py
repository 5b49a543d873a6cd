"""MedSwish: round trip, formula, derivative, and that both of its weights learn."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from wbc.nn.activation import MedSwish


@pytest.fixture
def layer() -> MedSwish:
    """A built layer whose parameters are not the ones it begins with."""
    layer = MedSwish(alpha=0.3, beta=0.8)
    layer.build((None, 3))
    layer.alpha.assign(-0.4)
    layer.beta.assign(1.7)
    return layer


class TestRoundTrip:
    def test_configuration(self) -> None:
        config = MedSwish(alpha=0.3, beta=0.8, name="act").get_config()
        assert (config["alpha"], config["beta"], config["name"]) == (0.3, 0.8, "act")
        again = MedSwish.from_config(config)
        assert again.get_config() == config

    def test_save_and_load_keep_what_was_learnt(self, tmp_path: Path) -> None:
        image = keras.Input((3,))
        model = keras.Model(image, MedSwish(alpha=0.3, beta=0.8, name="act")(image))
        model.set_weights([np.float32(-0.4), np.float32(1.7)])
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert isinstance(loaded.get_layer("act"), MedSwish)
        x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)
        np.testing.assert_array_equal(loaded(x), model(x))
        assert loaded.get_layer("act").get_config() == model.get_layer("act").get_config()


class TestFormula:
    @pytest.mark.parametrize(("alpha", "beta"), [(0.1, 1.0), (0.0, 1.0), (-0.4, 1.7), (0.9, -0.5)])
    def test_as_written(self, alpha: float, beta: float) -> None:
        x = np.linspace(-8, 8, 101)
        expected = x / (1 + np.exp(-beta * x)) * (1 + alpha * np.tanh(x))
        np.testing.assert_allclose(MedSwish(alpha, beta)(x.astype(np.float32)), expected, rtol=1e-5, atol=1e-6)

    def test_worked_numbers_of_the_docstring(self) -> None:
        assert float(MedSwish(alpha=0.2)(np.float32([1.0]))[0]) == pytest.approx(0.7311 * (1 + 0.7616 * 0.2), abs=1e-4)
        assert float(MedSwish(alpha=0.7, beta=3.0)(np.float32([0.0]))[0]) == 0.0

    def test_is_silu_without_gain(self) -> None:
        x = np.linspace(-5, 5, 21, dtype=np.float32)
        np.testing.assert_allclose(MedSwish(alpha=0.0)(x), keras.activations.silu(x), rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 4, 4, 3)])
    def test_any_shape(self, shape: tuple[int, ...]) -> None:
        layer = MedSwish()
        assert layer(np.ones(shape, np.float32)).shape == shape
        assert layer.compute_output_shape((None, *shape[1:])) == (None, *shape[1:])

    def test_half_precision_stays_half_precision(self) -> None:
        layer = MedSwish(dtype="mixed_float16")
        assert layer(np.ones((2, 3), np.float32)).dtype == tf.float16
        assert layer.alpha.dtype == "float32"

    def test_large_inputs_stay_finite(self) -> None:
        x = np.float32([-1e4, -100.0, 100.0, 1e4])
        layer = MedSwish()
        assert np.isfinite(layer(x)).all()
        assert np.isfinite(layer.derivative(tf.constant(x))).all()


class TestDerivative:
    def test_agrees_with_automatic_differentiation(self, layer: MedSwish) -> None:
        x = tf.constant(np.linspace(-6, 6, 240, dtype=np.float32).reshape(-1, 3))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        np.testing.assert_allclose(layer.derivative(x), tape.gradient(y, x), rtol=1e-5, atol=1e-6)

    def test_agrees_with_a_finite_difference(self) -> None:
        x, step = np.linspace(-3, 3, 25), 1e-3
        layer = MedSwish(alpha=0.5, beta=1.3)
        rise = (layer(np.float32(x + step)) - layer(np.float32(x - step))) / (2 * step)
        np.testing.assert_allclose(layer.derivative(tf.constant(np.float32(x))), rise, atol=2e-3)


class TestLearning:
    def test_two_weights(self) -> None:
        layer = MedSwish()
        layer.build((None, 100))
        assert layer.count_params() == 2
        assert [weight.name for weight in layer.trainable_weights] == ["alpha", "beta"]

    def test_both_get_a_gradient(self, layer: MedSwish) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(tf.constant([[0.5, -1.0, 2.0]])) ** 2)
        gradients = tape.gradient(loss, [weight.value for weight in layer.trainable_weights])
        assert all(abs(float(gradient)) > 1e-3 for gradient in gradients)
