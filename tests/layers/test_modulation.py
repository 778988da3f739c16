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
    [
        ("rms", True),
        ("rms", False),
        ("layer", True),
        ("group", True),
        ("group", False),
        ("batch", True),
        ("batch", False),
        (None, True),
    ],
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


@pytest.mark.backends
@pytest.mark.parametrize("shape", [(4, 3, 5, 6), (4, 6)])
def test_batch_is_keras_batch_normalization(shape):
    ours, theirs = Modulation("batch", momentum=0.9), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    x = features(*shape)
    for training, trainable in ((True, True), (True, True), (True, False), (False, True)):
        ours.trainable = theirs.trainable = trainable
        y = keras.ops.convert_to_numpy(ours(x, training=training))
        np.testing.assert_allclose(y, keras.ops.convert_to_numpy(theirs(x, training=training)), rtol=1e-4, atol=1e-4)
    for mine, other in ((ours.moving_mean, theirs.moving_mean), (ours.moving_variance, theirs.moving_variance)):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(mine), keras.ops.convert_to_numpy(other), rtol=1e-4, atol=1e-5
        )


@pytest.mark.backends
def test_batch_statistics_are_float32_and_saved(tmp_path):
    inputs, condition = keras.Input((4, 4, 6)), keras.Input((3,))
    layer = Modulation("batch", dtype="mixed_float16", momentum=0.5)
    model = keras.Model([inputs, condition], layer(inputs, condition))
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    x = 100.0 * features(8, 4, 4, 6)  # squares that float16 cannot hold
    y = keras.ops.convert_to_numpy(model([x, features(8, 3)], training=True))
    np.testing.assert_allclose(np.std(y.astype("float32"), axis=(0, 1, 2)), 1.0, atol=0.01)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[-1]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(loaded.moving_mean), 0.5 * x.mean(axis=(0, 1, 2)), rtol=0.01, atol=0.5
    )


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="Modulation: normalization must be one of.*'instance'"):
        Modulation("instance")
    with pytest.raises(ValueError, match="12 channels cannot be split into groups=8"):
        Modulation("group")(features(1, 2, 2, 12))
    layer = Modulation()
    layer(features(1, 2, 2, 8))
    with pytest.raises(ValueError, match="was built without a condition, but this call passes one"):
        layer(features(1, 2, 2, 8), features(1, 3))
