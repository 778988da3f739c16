import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's convolutions", allow_module_level=True)

from kgen.training import backend  # noqa: E402
from kgen.training.backend import coarse_convolution  # noqa: E402
from kgen.training.backend.coarse_convolution import can_use  # noqa: E402
from kgen.training.backend.fast_layers import fast_layers  # noqa: E402


@pytest.fixture
def few_weights(monkeypatch):
    """Small layers are taken, too."""
    monkeypatch.setattr(coarse_convolution, "_LEAST_WEIGHTS", {4: 1, 5: 1})


def _layer(kind, shape, side=4, filters=5, **options):
    layer = kind(filters, side, **{"strides": 2, "padding": "same", **options})
    layer.build((None, *shape))
    for variable in layer.variables:
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    return layer


def _results(layer, inputs, fast):
    """Outputs, and the gradients of a function of them by inputs and weights."""
    with fast_layers([layer] if fast else []), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs)
        total = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
    gradients = tape.gradient(total, [inputs, *(v.value for v in layer.trainable_variables)])
    return [np.array(tf.cast(tensor, "float32")) for tensor in (outputs, *gradients)]


@pytest.mark.usefixtures("few_weights")
@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (keras.layers.Conv2D, (8, 8, 3)),
        (keras.layers.Conv2D, (4, 2, 3)),
        (keras.layers.Conv2DTranspose, (4, 4, 3)),
        (keras.layers.Conv2DTranspose, (1, 3, 3)),
    ],
)
@pytest.mark.parametrize("options", [{"activation": "tanh"}, {"use_bias": False}, {"dtype": "mixed_bfloat16"}])
def test_it_is_keras_convolution(kind, shape, side, options):
    layer, half = _layer(kind, shape, side, **options), "dtype" in options
    assert can_use(layer)
    inputs = np.random.default_rng(1).normal(size=(6, *shape))
    # Whole numbers, of which bfloat16 rounds no product.
    inputs = tf.constant(np.round(inputs) if half else inputs, layer.compute_dtype)
    if half:
        layer.kernel.assign(np.round(layer.kernel))
    for fast, keras_own in zip(_results(layer, inputs, True), _results(layer, inputs, False), strict=True):
        tolerance = 5e-2 if half else 1e-5
        np.testing.assert_allclose(fast, keras_own, rtol=tolerance, atol=tolerance * np.abs(keras_own).max())


@pytest.mark.usefixtures("few_weights")
@pytest.mark.parametrize(("kind", "side"), [(keras.layers.Conv2D, 8), (keras.layers.Conv2DTranspose, 4)])
def test_the_gradient_of_a_penalty_on_the_slope(kind, side):
    layer, found = _layer(kind, (side, side, 3)), []
    inputs = tf.constant(np.random.default_rng(1).normal(size=(4, side, side, 3)), "float32")

    def penalty():
        slope = backend.input_gradient(lambda x: tf.reduce_sum(tf.sin(layer(x)), axis=(1, 2, 3)), inputs)
        return tf.reduce_sum(tf.square(slope)), ()

    for fast in (True, False):
        with fast_layers([layer] if fast else []):
            found.append(backend.value_and_grad(penalty, layer.trainable_variables))
    ((one, _), gradients), ((other, _), wanted) = found
    np.testing.assert_allclose(one, other, rtol=1e-4)
    for gradient, expected in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_which_are_taken():
    conv, transposed = keras.layers.Conv2D, keras.layers.Conv2DTranspose
    assert can_use(_layer(conv, (8, 8, 128), filters=256)) and can_use(_layer(transposed, (4, 4, 256), filters=128))
    assert can_use(_layer(conv, (8, 8, 256), 5, filters=512))
    assert not can_use(_layer(conv, (8, 8, 128), 5, filters=256)) and not can_use(_layer(conv, (8, 8, 64), filters=256))
    others = [{"strides": 1}, {"padding": "valid"}, {"groups": 2}, {"strides": 1, "dilation_rate": 2}]
    assert not any(can_use(_layer(conv, (8, 8, 256), filters=512, **options)) for options in others)
    assert not can_use(_layer(conv, (8, 8, 256), 3, filters=512))
    assert not can_use(_layer(transposed, (4, 4, 256), filters=512, output_padding=0))
    assert not can_use(conv(512, 4, 2, "same")) and not can_use(keras.layers.Dense(2))


def _kinds(layer, shape, on_cpu=True):
    """The types of operations in the graph of a layer."""

    def step(inputs):
        with fast_layers([layer], on_cpu):
            return layer(inputs)

    graph = tf.function(step).get_concrete_function(tf.TensorSpec((None, *shape))).graph
    assert "call" not in vars(layer)
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.usefixtures("few_weights")
def test_only_small_grids_on_a_cpu_are_a_matrix_product():
    conv = _layer(keras.layers.Conv2D, (8, 8, 3))
    assert "MatMul" in _kinds(conv, (8, 8, 3)) and "Conv2D" not in _kinds(conv, (8, 8, 3))
    for shape in ((16, 16, 3), (7, 8, 3), (None, 8, 3)):
        assert "Conv2D" in _kinds(conv, shape) and "MatMul" not in _kinds(conv, shape)
    assert "Conv2D" in _kinds(conv, (8, 8, 3), on_cpu=False)
    transposed = _layer(keras.layers.Conv2DTranspose, (4, 4, 3))
    assert "MatMul" in _kinds(transposed, (4, 4, 3)) and "Conv2DBackpropInput" in _kinds(transposed, (8, 8, 3))
