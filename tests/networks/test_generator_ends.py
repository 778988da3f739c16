import keras
import numpy as np
import pytest

from kgen.networks.generator_ends import generator_inputs, to_pixels


@pytest.mark.backends
def test_pixels_are_bounded_and_each_position_makes_its_patch():
    x = keras.Input((2, 3, 5), dtype="float32")
    model = keras.Model(x, to_pixels(x, channels=2, kernel_size=1, patch=4))
    assert model.output_shape == (None, 8, 12, 2) and model.output.dtype == "float32"
    values = np.random.default_rng(0).normal(size=(1, 2, 3, 5)).astype("float32")
    before = model.predict_on_batch(10 * values)
    assert 0.9 < np.abs(before).max() <= 1.0
    values[0, 1, 2] += 1.0
    changed = np.any(model.predict_on_batch(10 * values) != before, axis=-1)[0]
    assert changed[4:, 8:].any() and not changed[:4].any() and not changed[:, :8].any()


def test_inputs():
    inputs = generator_inputs("G", 5, 3)
    assert {name: tensor.shape for name, tensor in inputs.items()} == {"latents": (None, 5), "pooled": (None, 3)}
    assert list(generator_inputs("G", 5)) == ["latents"]
    with pytest.raises(ValueError, match="G: pooled_dim must be an integer of at least 1; got 0"):
        generator_inputs("G", 5, 0)
    with pytest.raises(ValueError, match="G: latent_dim must be an integer of at least 1; got None"):
        generator_inputs("G", None)
