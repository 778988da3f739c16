import keras
import numpy as np
import pytest

from kgen.layers import SpectralNormalization
from kgen.networks.ends import (
    condition_vector,
    discriminator_head,
    discriminator_inputs,
    generator_inputs,
    lift,
    single,
    to_image,
    to_pixels,
    upsample,
)


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


def weights_of(model, name):
    return [keras.ops.convert_to_numpy(weight) for weight in model.get_layer(name).weights]


@pytest.mark.backends
def test_heads_are_their_equations():
    h, y = (np.random.default_rng(0).normal(size=(2, size)).astype("float32") for size in (6, 3))
    features, pooled = keras.Input((6,)), keras.Input((3,))

    plain = keras.Model(features, discriminator_head(features))
    w, b = weights_of(plain, "logits")
    np.testing.assert_allclose(plain.predict_on_batch(h), h @ w + b, rtol=1e-4, atol=1e-5)

    projection = keras.Model([features, pooled], discriminator_head(features, pooled))
    (w, b), (v,) = weights_of(projection, "logits"), weights_of(projection, "projection")
    expected = h @ w + b + np.sum((y @ v) * h, axis=1, keepdims=True)
    np.testing.assert_allclose(projection.predict_on_batch([h, y]), expected, rtol=1e-4, atol=1e-5)

    classifier = keras.Model(features, discriminator_head(features, num_classes=4))
    outputs = classifier.predict_on_batch(h)
    for name, size in (("logits", 1), ("labels", 4)):
        w, b = weights_of(classifier, name)
        assert outputs[name].shape == (2, size)
        np.testing.assert_allclose(outputs[name], h @ w + b, rtol=1e-4, atol=1e-5)


def test_spectral_normalization_is_of_every_matrix():
    features, pooled = keras.Input((6,)), keras.Input((3,))
    model = keras.Model([features, pooled], discriminator_head(features, pooled, 4, spectral_normalization=True))
    wrapped = {layer.name for layer in model.layers if isinstance(layer, SpectralNormalization)}
    assert wrapped == {"logits", "projection", "labels"}


def test_inputs_of_a_discriminator():
    inputs = discriminator_inputs("D", (4, 4, 1), pooled_dim=2)
    assert {name: tensor.shape for name, tensor in inputs.items()} == {"images": (None, 4, 4, 1), "pooled": (None, 2)}
    assert single(inputs) is inputs
    alone = discriminator_inputs("D", (4, 4, 1))
    assert single(alone) is alone["images"]
    with pytest.raises(
        ValueError, match="D: pooled_dim=2 tells the discriminator the class that num_classes=3 asks it"
    ):
        discriminator_inputs("D", (4, 4, 1), 2, 3)
    with pytest.raises(ValueError, match="D: num_classes must be an integer of at least 1; got 0"):
        discriminator_inputs("D", (4, 4, 1), num_classes=0)


def outputs(inputs, output, arrays):
    return keras.ops.convert_to_numpy(keras.Model(inputs, output)(arrays))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("names", [("latents",), ("latents", "pooled")])
def test_a_vector_of_all_that_is_known(names):
    inputs = {name: keras.Input((3,), name=name) for name in names}
    given = {name: noise(2, 3) for name in names}
    c = condition_vector(inputs, 5)
    first = outputs(inputs, c, given)
    assert first.shape == (2, 5)
    for name in names:
        assert np.abs(outputs(inputs, c, {**given, name: -given[name]}) - first).max() > 1e-3


def test_from_a_vector_to_pixels():
    c = keras.Input((3,))
    grid = lift(c, (2, 3), 8)
    finer = upsample(grid, 6, "finer")
    image = to_image(finer, 2, "image", patch=4, output="tanh", dtype="mixed_bfloat16")
    assert grid.shape == (None, 2, 3, 8) and finer.shape == (None, 4, 6, 6) and image.shape == (None, 16, 24, 2)
    assert image.dtype == "float32"
    pixels = outputs(c, image, 100 * noise(2, 3))
    assert np.abs(pixels).max() <= 1 and np.abs(pixels[0] - pixels[1]).max() > 1e-3


def test_each_pixel_comes_from_around_its_place():
    features = keras.Input((4, 4, 8))
    image = to_image(upsample(features, 8, "finer"), 1, "image", normalization=None)
    x = noise(1, 4, 4, 8)
    changed = x.copy()
    changed[0, 0, 0] += 1
    change = np.abs(outputs(features, image, changed) - outputs(features, image, x))[0, :, :, 0]
    assert change[:2, :2].max() > 1e-3 and change[3:].max() == 0 and change[:, 3:].max() == 0
