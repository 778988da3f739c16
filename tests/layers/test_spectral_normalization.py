import keras
import numpy as np
import pytest

from kgen.layers import SpectralNormalization
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_layer

LAYERS = {
    "dense": (lambda: keras.layers.Dense(6), (3, 10)),
    "convolution": (lambda: keras.layers.Conv2D(5, 3, strides=2, padding="same", activation="tanh"), (3, 6, 6, 4)),
    "transposed": (lambda: keras.layers.Conv2DTranspose(5, 3, strides=2, padding="same"), (3, 4, 4, 7)),
    "embedding": (lambda: keras.layers.Embedding(10, 4), None),
}
TOKENS = np.array([[1, 2, 3], [4, 5, 9], [0, 0, 7]], "int32")


def warmed_up(name):
    make, shape = LAYERS[name]
    layer = SpectralNormalization(make())
    inputs = TOKENS if shape is None else np.random.default_rng(0).normal(size=shape).astype("float32")
    for _ in range(60):
        layer(inputs, training=True)
    return layer, inputs


def kernel_matrix(layer):
    """Inputs and taps by outputs, in numpy."""
    kernel = keras.ops.convert_to_numpy(layer.layer.weights[0])
    if isinstance(layer.layer, keras.layers.Conv2DTranspose):
        kernel = kernel.transpose(0, 1, 3, 2)
    return kernel.reshape(-1, kernel.shape[-1])


@pytest.mark.backends
@pytest.mark.parametrize("name, output_shape", [
    ("dense", (3, 6)), ("convolution", (3, 3, 3, 5)), ("transposed", (3, 8, 8, 5)), ("embedding", (3, 3, 4)),
])  # fmt: skip
def test_layer(name, output_shape):
    make, shape = LAYERS[name]
    inputs = {"inputs": TOKENS if shape is None else shape}
    check_layer(SpectralNormalization, lambda: {"layer": make()}, inputs, output_shape)


@pytest.mark.backends
@pytest.mark.parametrize("name", LAYERS)
def test_sigma_is_the_largest_singular_value(name):
    layer, inputs = warmed_up(name)
    sigma = np.linalg.svd(kernel_matrix(layer), compute_uv=False)[0]
    np.testing.assert_allclose(float(layer.spectral_norm()), sigma, rtol=0.01)

    # The same output as the wrapped layer's when the weights are divided by hand.
    output = keras.ops.convert_to_numpy(layer(inputs))
    by_hand = layer.layer
    by_hand.weights[0].assign(by_hand.weights[0] / layer.spectral_norm())
    np.testing.assert_allclose(output, keras.ops.convert_to_numpy(by_hand(inputs)), rtol=1e-3, atol=1e-4)


@pytest.mark.backends
def test_only_training_moves_u_and_nothing_moves_the_kernel():
    layer = SpectralNormalization(keras.layers.Dense(6), power_iterations=2)
    x = np.ones((2, 10), "float32")
    layer(x)
    kernel = keras.ops.convert_to_numpy(layer.layer.kernel).copy()
    start = keras.ops.convert_to_numpy(layer.u).copy()
    layer(x, training=False)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.u), start)
    layer(x, training=True)
    assert np.abs(keras.ops.convert_to_numpy(layer.u) - start).max() > 1e-3
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.layer.kernel), kernel)
    assert [weight.name for weight in layer.non_trainable_weights] == ["u"]


@pytest.mark.backends
def test_gradient_holds_the_singular_vectors_constant():
    """d/dW mean((x W / sigma - t)^2) against differences of the same function with u and v from numpy."""
    layer, x = warmed_up("dense")
    target = np.random.default_rng(1).normal(size=(3, 6))
    kernel = keras.ops.convert_to_numpy(layer.layer.kernel).astype("float64")
    left, _, right = np.linalg.svd(kernel)

    def loss(w):
        sigma = left[:, 0] @ w @ right[0]
        return np.mean((x @ w / sigma - target) ** 2)

    expected = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        step = np.zeros_like(kernel)
        step[index] = 1e-5
        expected[index] = (loss(kernel + step) - loss(kernel - step)) / 2e-5

    model = keras.Sequential([layer])
    model.compile(optimizer=keras.optimizers.SGD(1.0), loss="mse")
    model.train_on_batch(x, target.astype("float32"))
    moved = kernel - keras.ops.convert_to_numpy(layer.layer.kernel)
    np.testing.assert_allclose(moved, expected, rtol=0.01, atol=1e-4)


@pytest.mark.backends
def test_second_derivatives_are_right():
    """The gradient of |df/dx|^2 with f = sum(tanh(x W / sigma)), against differences in numpy."""
    layer, x = warmed_up("dense")
    model = keras.Sequential([layer, keras.layers.Activation("tanh")])
    model(x)
    kernel = keras.ops.convert_to_numpy(layer.layer.kernel).astype("float64")
    left, _, right = np.linalg.svd(kernel)

    def penalty(w):
        w = w / (left[:, 0] @ w @ right[0])
        return np.sum(((1 - np.tanh(x @ w) ** 2) @ w.T) ** 2)

    expected = np.zeros_like(kernel)
    for index in np.ndindex(kernel.shape):
        step = np.zeros_like(kernel)
        step[index] = 1e-5
        expected[index] = (penalty(kernel + step) - penalty(kernel - step)) / 2e-5
    gradients = gradient_penalty_gradients(model, x)
    np.testing.assert_allclose(
        gradients[layer.layer.kernel.path], expected, rtol=0.02, atol=0.02 * np.abs(expected).max()
    )


def test_refuses_what_it_cannot_normalize():
    with pytest.raises(TypeError, match="SpectralNormalization: layer must be a Dense.*got LayerNormalization"):
        SpectralNormalization(keras.layers.LayerNormalization())
    with pytest.raises(ValueError, match="power_iterations must be an integer of at least 1; got 0"):
        SpectralNormalization(keras.layers.Dense(2), power_iterations=0)
