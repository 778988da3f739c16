import keras
import numpy as np
import pytest

from kgen.layers import GroupedConvolution2D
from kgen.layers import grouped_convolution as module
from tests.checks.layers import check_layer


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.backends
@pytest.mark.parametrize("one_by_one", [True, False])
def test_layer(monkeypatch, one_by_one):
    monkeypatch.setattr(module, "_groups_are_quick", lambda: not one_by_one)
    check_layer(
        GroupedConvolution2D,
        {"filters": 12, "kernel_size": 3, "groups": 2, "padding": "same"},
        {"inputs": (2, 5, 4, 8)},
        (2, 5, 4, 12),
    )


@pytest.mark.backends
@pytest.mark.parametrize("settings", [{"padding": "same"}, {"strides": 2, "use_bias": False, "activation": "relu"}])
def test_is_keras_convolution_and_so_are_its_gradients(monkeypatch, settings):
    monkeypatch.setattr(module, "_groups_are_quick", lambda: False)
    x = noise(3, 7, 6, 8)
    results = []
    for cls in (GroupedConvolution2D, keras.layers.Conv2D):
        inputs = keras.Input(x.shape[1:])
        scale = keras.layers.EinsumDense("bhwc,hwc->bhwc", x.shape[1:], kernel_initializer="ones")  # stands for x
        model = keras.Model(inputs, cls(12, 3, groups=4, data_format="channels_last", **settings)(scale(inputs)))
        if results:
            model.set_weights(results[0][0])
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(0.1), "mse")
        y = model.predict_on_batch(x)
        model.fit(x, np.zeros_like(y), batch_size=3, verbose=0)
        results.append((before, y, model.get_weights()))
    (before, y, after), (_, expected_y, expected_after) = results
    np.testing.assert_allclose(y, expected_y, atol=1e-5)
    for old, new, expected in zip(before, after, expected_after, strict=True):
        np.testing.assert_allclose(new, expected, atol=1e-5)
        assert np.max(np.abs(new - old)) > 1e-4


@pytest.mark.backends
def test_groups_are_convolved_one_by_one_where_the_backend_is_slow():
    cpu_alone = keras.backend.backend() == "torch" or keras.distribution.list_devices() == ["cpu:0"]
    assert not cpu_alone or module._groups_are_quick() == (keras.backend.backend() == "torch")


def test_refuses_what_it_cannot_split():
    with pytest.raises(ValueError, match="data_format must be 'channels_last'; got 'channels_first'"):
        GroupedConvolution2D(8, 3, groups=2, data_format="channels_first")
    with pytest.raises(ValueError, match="divisible by the number of groups"):
        GroupedConvolution2D(8, 3, groups=4)(noise(1, 4, 4, 6))
