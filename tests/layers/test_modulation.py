import keras
import numpy as np
import pytest

from kgen.layers import Modulation
from tests.checks.layers import check_layer


def features(*shape):
    return (3.0 + 5.0 * np.random.default_rng(0).normal(size=shape)).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize(
    "normalization, conditional",
    [("rms", True), ("rms", False), ("layer", True), ("group", True), ("group", False), (None, True)],
)
def test_layer(normalization, conditional):
    inputs = {"x": (3, 4, 6, 16)}
    if conditional:
        inputs["condition"] = (3, 5)
    check_layer(Modulation, {"normalization": normalization}, inputs, (3, 4, 6, 16))


@pytest.mark.backends
def test_works_on_vectors_and_sequences():
    check_layer(Modulation, {}, {"x": (2, 8), "condition": (2, 3)}, (2, 8))
    check_layer(Modulation, {}, {"x": (2, 5, 8), "condition": (2, 3)}, (2, 5, 8))


@pytest.mark.backends
def test_starts_as_each_plain_normalization():
    x, condition = features(2, 4, 4, 16), features(2, 3)
    by_position = dict(axis=-1, keepdims=True)
    expected = {
        "rms": x / np.sqrt(np.mean(x**2, **by_position)),
        "layer": (x - np.mean(x, **by_position)) / np.std(x, **by_position),
        "group": keras.ops.convert_to_numpy(keras.layers.GroupNormalization(8, epsilon=1e-5)(x)),
        None: x,
    }
    for normalization, target in expected.items():
        y = Modulation(normalization)(x, condition)
        np.testing.assert_allclose(keras.ops.convert_to_numpy(y), target, rtol=1e-3, atol=1e-4)


@pytest.mark.backends
@pytest.mark.parametrize("normalization", ["rms", "group"])
def test_condition_scales_and_shifts_each_channel(normalization):
    x, condition = features(2, 4, 4, 8), features(2, 3)
    layer = Modulation(normalization)
    plain = keras.ops.convert_to_numpy(layer(x, condition))
    kernel = np.random.default_rng(2).normal(size=(3, 16)).astype("float32")
    layer.projection.kernel.assign(kernel)
    scale, shift = np.split((condition @ kernel)[:, None, None, :], 2, axis=-1)
    y = keras.ops.convert_to_numpy(layer(x, condition))
    np.testing.assert_allclose(y, plain * (1 + scale) + shift, rtol=1e-3, atol=1e-3)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="Modulation: normalization must be one of.*'batch'"):
        Modulation("batch")
    with pytest.raises(ValueError, match="12 channels cannot be split into groups=8"):
        Modulation("group")(features(1, 2, 2, 12))
    layer = Modulation()
    layer(features(1, 2, 2, 8))
    with pytest.raises(ValueError, match="was built without a condition and now got one"):
        layer(features(1, 2, 2, 8), features(1, 3))
