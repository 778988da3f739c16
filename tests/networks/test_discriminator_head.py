import keras
import numpy as np
import pytest

from kgen.layers import SpectralNormalization
from kgen.networks.discriminator_head import discriminator_head, discriminator_inputs, single


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


def test_inputs():
    inputs = discriminator_inputs("D", (4, 4, 1), pooled_dim=2)
    assert {name: tensor.shape for name, tensor in inputs.items()} == {"images": (None, 4, 4, 1), "pooled": (None, 2)}
    assert single(inputs) is inputs
    alone = discriminator_inputs("D", (4, 4, 1))
    assert single(alone) is alone["images"]
    with pytest.raises(ValueError, match="D: pooled_dim=2 tells the discriminator what num_classes=3 asks it"):
        discriminator_inputs("D", (4, 4, 1), 2, 3)
    with pytest.raises(ValueError, match="D: num_classes must be an integer of at least 1; got 0"):
        discriminator_inputs("D", (4, 4, 1), num_classes=0)
