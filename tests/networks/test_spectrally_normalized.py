import json

import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.layers import ResidualBlock2D, SelfAttention2D, SpectralNormalization
from kgen.layers.spectral_normalization import TRANSPOSED
from kgen.networks import MultiscaleEncoder
from kgen.networks.spectrally_normalized import spectrally_normalized
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_saved_model_equal, outputs_of


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sequential():
    """Homogeneous: without biases, so that a scale of the weights is one of the outputs."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False, activation="leaky_relu", name="first"),
            layers.Conv2DTranspose(4, 3, use_bias=False, name="second"),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(1, use_bias=False, name="last"),
        ],
        name="critic",
    )


def functional():
    """Two inputs, a shared layer, a nested model that is shared, and an operation of keras.ops."""
    trunk = keras.Sequential(
        [keras.Input((4, 4, 5)), layers.Conv2D(5, 3, padding="same"), layers.PReLU()], name="trunk"
    )
    images, pooled = keras.Input((4, 4, 3), name="images"), keras.Input((6,), name="pooled")
    shared = layers.Conv2D(5, 1, activation="tanh", name="shared")
    h = trunk(ops.add(shared(images), shared(ops.flip(images, axis=1))))
    h = layers.BatchNormalization(name="statistics")(layers.Flatten()(trunk(h)))
    h = layers.Concatenate()([layers.Dense(7, name="features")(h), layers.Dense(4, name="condition")(pooled)])
    return keras.Model({"images": images, "pooled": pooled}, layers.Dense(1, name="logits")(h))


def wrapped(model):
    """All SpectralNormalization layers, in nested models too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, SpectralNormalization):
            found.append(layer)
        elif isinstance(layer, keras.Model):
            found.extend(wrapped(layer))
    return found


def sigma_of(layer):
    return float(ops.convert_to_numpy(layer.spectral_norm()))


def largest_singular_value(layer):
    kernel = ops.convert_to_numpy(layer.layer.weights[0])
    if isinstance(layer.layer, TRANSPOSED):
        kernel = kernel.swapaxes(-1, -2)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


def warm_up(model, inputs, calls=60):
    """Calls in training that leave the kernels; compiled, as JAX is slow otherwise."""
    inputs = keras.tree.map_structure(lambda x: np.tile(x, (calls,) + (1,) * (x.ndim - 1)), inputs)
    targets = np.zeros((2 * calls, *model.output_shape[1:]), "float32")
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
    model.fit(inputs, targets, batch_size=2, verbose=0)


@pytest.mark.backends
def test_the_function_begins_as_the_original_but_for_the_scale():
    model = sequential()
    before = [weight.copy() for weight in model.get_weights()]
    normalized = spectrally_normalized(model)
    assert type(normalized) is keras.Sequential and normalized.name == "critic"
    assert [layer.name for layer in normalized.layers] == [layer.name for layer in model.layers]
    assert [type(layer).__name__ for layer in normalized.layers] == [
        "SpectralNormalization", "SpectralNormalization", "Dropout", "Flatten", "SpectralNormalization",
    ]  # fmt: skip
    x = noise(3, 8, 8, 3)
    scale = np.prod([sigma_of(layer) for layer in wrapped(normalized)])
    (plain,), (scaled,) = outputs_of(model, x), outputs_of(normalized, x)
    np.testing.assert_allclose(scaled * scale, plain, rtol=1e-3, atol=1e-5)
    assert abs(scale - 1) > 0.01

    # The copy's weights are its own.
    normalized.get_layer("last").layer.kernel.assign(noise(144, 1))
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("make", [sequential, functional])
def test_sigma_is_the_largest_singular_value_after_some_calls(make):
    normalized = spectrally_normalized(make(), iterations=2)
    inputs = noise(2, 8, 8, 3) if make is sequential else {"images": noise(2, 4, 4, 3), "pooled": noise(2, 6)}
    warm_up(normalized, inputs)
    found = wrapped(normalized)
    assert len(found) == (3 if make is sequential else 5)
    for layer in found:
        assert layer.power_iterations == 2
        np.testing.assert_allclose(sigma_of(layer), largest_singular_value(layer), rtol=0.01)


@pytest.mark.backends
def test_functional_models_keep_their_form():
    model = functional()
    model.get_layer("statistics").moving_mean.assign(noise(80))
    normalized = spectrally_normalized(model)
    assert {name: tuple(x.shape) for name, x in normalized.input.items()} == {
        "images": (None, 4, 4, 3), "pooled": (None, 6)
    }  # fmt: skip
    assert len(normalized.layers) == len(model.layers)
    # Shared ones are wrapped once; everything else has the original's weights.
    assert len(wrapped(normalized)) == len(set(map(id, wrapped(normalized)))) == 5
    assert len(normalized.weights) == len(model.weights) + 5
    weights = [weight for weight in normalized.weights if weight.name != "u"]
    for weight, original in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(weight), ops.convert_to_numpy(original))

    # The same function as the original's with its kernels divided by hand.
    inputs = {"images": noise(2, 4, 4, 3), "pooled": noise(2, 6)}
    for layer in wrapped(normalized):
        owner = model.get_layer("trunk") if layer.name.startswith("conv2d") else model
        kernel = owner.get_layer(layer.name).kernel
        kernel.assign(kernel / layer.spectral_norm())
    np.testing.assert_allclose(outputs_of(normalized, inputs)[0], outputs_of(model, inputs)[0], rtol=1e-3, atol=1e-4)


@pytest.mark.backends
@pytest.mark.parametrize("make", [sequential, functional])
def test_saves_and_loads(make, tmp_path):
    normalized = spectrally_normalized(make(), iterations=3)
    inputs = noise(2, 8, 8, 3) if make is sequential else {"images": noise(2, 4, 4, 3), "pooled": noise(2, 6)}
    warm_up(normalized, inputs, calls=2)
    loaded = check_saved_model_equal(normalized, inputs, tmp_path / "model.keras")
    assert [layer.power_iterations for layer in wrapped(loaded)] == [3] * len(wrapped(normalized))
    assert json.dumps(loaded.get_config()) == json.dumps(normalized.get_config())


@pytest.mark.backends
def test_gradients_flow_to_all_weights_twice():
    normalized = spectrally_normalized(sequential())
    x = noise(4, 8, 8, 3)
    gradients = gradient_penalty_gradients(normalized, x, training=False)
    assert len(gradients) == 3 and all(np.abs(gradient).max() > 0 for gradient in gradients.values())
    before = [ops.convert_to_numpy(weight).copy() for weight in normalized.trainable_weights]
    normalized.compile(optimizer=keras.optimizers.SGD(0.5), loss="mse", jit_compile=keras.backend.backend() != "torch")
    normalized.fit(x, noise(4, 1), epochs=1, verbose=0)
    for weight, old in zip(normalized.trainable_weights, before, strict=True):
        new = ops.convert_to_numpy(weight)
        assert np.all(np.isfinite(new)) and np.abs(new - old).max() > 0


def test_layers_that_normalize_themselves_are_told_to():
    inputs = keras.Input((4, 4, 3))
    h = SelfAttention2D(num_heads=2, gate_initializer="ones", name="attention")(
        ResidualBlock2D(4, name="block")(inputs)
    )
    model = keras.Model(inputs, h)
    for weight in model.weights:
        weight.assign(noise(*weight.shape))
    normalized = spectrally_normalized(model)
    block, attention = normalized.get_layer("block"), normalized.get_layer("attention")
    x = noise(2, 4, 4, 3)
    warm_up(normalized, x)
    wraps = [block.convolution_1, block.convolution_2, block.skip, attention.query_key_value]
    for layer in (*wraps, attention.output_projection):
        np.testing.assert_allclose(sigma_of(layer), largest_singular_value(layer), rtol=0.01)
    # The weights are the original's: divided by hand, it is the same function.
    for original, layer in zip(
        (model.get_layer("block"), model.get_layer("block"), model.get_layer("block"), model.get_layer("attention")),
        wraps,
    ):
        plain = getattr(original, layer.name.removesuffix("_normalized"), None) or original.query_key_value
        plain.kernel.assign(plain.kernel / layer.spectral_norm())
    plain = model.get_layer("attention").output_projection
    plain.kernel.assign(plain.kernel / attention.output_projection.spectral_norm())
    np.testing.assert_allclose(outputs_of(normalized, x)[0], outputs_of(model, x)[0], rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="ResidualBlock2D 'block' normalises itself, with 1 iteration per call; got"):
        spectrally_normalized(model, iterations=2)


def test_networks_stay_what_they_are():
    encoder = MultiscaleEncoder((4, 4, 3), 1, pooled_dim=3, filters=8, feature_dim=6)
    normalized = spectrally_normalized(encoder)
    assert type(normalized) is MultiscaleEncoder
    assert normalized.get_config() == {**encoder.get_config(), "spectral_normalization": True}
    trained = zip(normalized.trainable_weights, encoder.trainable_weights, strict=True)
    assert all(np.array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b)) for a, b in trained)

    again = spectrally_normalized(normalized)  # nothing left to do; the singular vectors stay
    inputs = {"images": noise(2, 4, 4, 3), "pooled": noise(2, 3)}
    np.testing.assert_array_equal(outputs_of(again, inputs)[0], outputs_of(normalized, inputs)[0])


def test_what_is_wrapped_stays_as_it_is_and_what_is_frozen_stays_frozen():
    frozen = keras.Sequential([keras.Input((5,)), layers.Dense(4)], name="frozen")
    frozen.trainable = False
    model = keras.Sequential([keras.Input((5,)), frozen, SpectralNormalization(layers.Dense(2)), layers.Dense(1)])
    model.layers[2].trainable = False
    normalized = spectrally_normalized(model)
    assert [weight.shape for weight in normalized.trainable_weights] == [(4, 2), (2,)]  # the middle one's
    assert [type(layer) for layer in normalized.layers] == [keras.Sequential, *[SpectralNormalization] * 2]
    assert isinstance(normalized.layers[1].layer, layers.Dense)
    np.testing.assert_array_equal(ops.convert_to_numpy(normalized.layers[1].u), ops.convert_to_numpy(model.layers[1].u))


def test_keeps_the_precision_of_layers():
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4, dtype="mixed_bfloat16"), layers.Dense(1)])
    normalized = spectrally_normalized(model)
    assert [layer.compute_dtype for layer in normalized.layers] == ["bfloat16", "float32"]
    assert {weight.dtype for weight in normalized.weights} == {"float32"}


class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(1)

    def call(self, inputs):
        return self.dense(inputs)


@pytest.mark.parametrize(
    "layer, message",
    [
        (
            layers.DepthwiseConv2D(3, name="depth"),
            "DepthwiseConv2D 'depth' has weights that cannot be reached: .*kernel",
        ),
        (
            layers.SeparableConv2D(2, 3, name="parts"),
            "SeparableConv2D 'parts' has weights .* reached: .*pointwise_kernel",
        ),
        (layers.EinsumDense("abcd,de->abce", (4, 4, 2), name="sum"), "EinsumDense 'sum' has weights"),
        (layers.TimeDistributed(layers.Dense(2), name="rows"), "TimeDistributed 'rows' has weights"),
    ],
)
def test_names_a_layer_that_cannot_be_reached(layer, message):
    inner = keras.Sequential([keras.Input((4, 4, 3)), layer])
    for model in (inner, keras.Sequential([keras.Input((4, 4, 3)), inner])):
        with pytest.raises(ValueError, match=message):
            spectrally_normalized(model)


def test_refuses_what_is_no_network_of_layers():
    with pytest.raises(TypeError, match="model must be a keras.Model; got Dense"):
        spectrally_normalized(layers.Dense(2))
    with pytest.raises(ValueError, match="draft is not built .* Start it with keras.Input"):
        spectrally_normalized(keras.Sequential([layers.Dense(2)], name="draft"))
    subclassed = Subclassed(name="mine")
    subclassed(noise(2, 3))
    with pytest.raises(TypeError, match="Subclassed 'mine' is a subclassed model, whose layers cannot be replaced"):
        spectrally_normalized(subclassed)
