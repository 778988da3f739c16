import keras
import numpy as np
import pytest

from kgen.layers import DepthwiseConvolution2D, GroupedConvolution2D
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


# === Depthwise ===
@pytest.mark.backends
@pytest.mark.parametrize("by_shifts", [True, False])
def test_depthwise_layer(monkeypatch, by_shifts):
    monkeypatch.setattr(module, "_shifts_are_quick", lambda: by_shifts)
    settings = {"kernel_size": 3, "strides": 2, "padding": "same", "activation": "relu"}
    check_layer(DepthwiseConvolution2D, settings, {"inputs": (2, 5, 4, 8)}, (2, 3, 2, 8))


@pytest.mark.backends
@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 3, "padding": "same"},
        {"kernel_size": 5, "padding": "same", "strides": 2},
        {"kernel_size": (2, 3), "strides": 2, "use_bias": False},
        {"kernel_size": 3, "depth_multiplier": 2},
        {"kernel_size": 3, "dilation_rate": 2, "padding": "same"},
    ],
)
def test_depthwise_is_keras_layer(monkeypatch, settings):
    monkeypatch.setattr(module, "_shifts_are_quick", lambda: True)
    x, options = noise(3, 9, 8, 6), {"bias_initializer": "ones", "data_format": "channels_last", **settings}
    ours, theirs = DepthwiseConvolution2D(**options), keras.layers.DepthwiseConv2D(**options)
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights(ours.get_weights())
    y, wanted = (keras.ops.convert_to_numpy(layer(x)) for layer in (ours, theirs))
    np.testing.assert_allclose(y, wanted, atol=1e-5)


@pytest.mark.backends
def test_one_place_of_a_depthwise_kernel_after_another_only_where_that_is_quick(monkeypatch):
    cpu_alone = keras.backend.backend() == "torch" or keras.distribution.list_devices() == ["cpu:0"]
    assert not cpu_alone or module._shifts_are_quick() == (keras.backend.backend() == "jax")
    layer, calls = DepthwiseConvolution2D(3), []
    layer.build((None, 5, 5, 2))
    monkeypatch.setattr(layer, "_shifted", lambda inputs: calls.append(1) or inputs)
    layer(noise(1, 5, 5, 2))
    assert bool(calls) == module._shifts_are_quick()


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="of torch")
def test_torch_copies_no_images():
    torch = pytest.importorskip("torch")
    network = keras.Sequential(
        [keras.Input((8, 8, 3)), GroupedConvolution2D(4, 3), DepthwiseConvolution2D(3), GroupedConvolution2D(4, 1)]
    )
    x = torch.ones((2, 8, 8, 3))
    network(x)
    with torch.no_grad(), torch.profiler.profile(record_shapes=True) as profile:
        network(x)
    copied = [each.input_shapes for each in profile.events() if each.name in ("aten::clone", "aten::copy_")]
    assert not [shapes for shapes in copied if shapes[0][:1] == [2]]


def test_refuses_what_it_cannot_split():
    with pytest.raises(ValueError, match="data_format must be 'channels_last'; got 'channels_first'"):
        GroupedConvolution2D(8, 3, groups=2, data_format="channels_first")
    with pytest.raises(ValueError, match="divisible by the number of groups"):
        GroupedConvolution2D(8, 3, groups=4)(noise(1, 4, 4, 6))
    with pytest.raises(ValueError, match="data_format must be 'channels_last'; got 'channels_first'"):
        DepthwiseConvolution2D(3, data_format="channels_first")
