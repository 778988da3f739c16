import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's convolutions", allow_module_level=True)

from kgen.training import backend  # noqa: E402
from kgen.training.backend import coarse_convolution  # noqa: E402
from kgen.training.backend.coarse_convolution import can_use  # noqa: E402
from tests.checks import fast_layers as checks  # noqa: E402


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
    fast, keras_own = (checks.results(layer, inputs, fast) for fast in (True, False))
    tolerance = 5e-2 if half else 1e-5
    checks.assert_close(fast, keras_own, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("few_weights")
@pytest.mark.parametrize(("kind", "side"), [(keras.layers.Conv2D, 8), (keras.layers.Conv2DTranspose, 4)])
def test_the_gradient_of_a_penalty_on_the_slope(kind, side):
    inputs = tf.constant(np.random.default_rng(1).normal(size=(4, side, side, 3)), "float32")
    checks.check_slope_penalty(lambda: _layer(kind, (side, side, 3)), inputs)


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


def _kinds(layer, *shape):
    """The types of operations in a training step that calls a layer."""
    kinds = checks.operations_of(lambda x: backend.run_step(layer, [], (x,), lambda: [layer]), *shape)
    assert "call" not in vars(layer)
    return kinds


@pytest.mark.usefixtures("few_weights")
def test_a_step_makes_one_matrix_product_of_a_small_grid():
    conv, transposed = _layer(keras.layers.Conv2D, (8, 8, 3)), _layer(keras.layers.Conv2DTranspose, (4, 4, 3))
    for layer, shape in ((conv, (8, 8, 3)), (transposed, (4, 4, 3))):
        kinds = _kinds(layer, *shape)
        assert kinds.count("MatMul") == 1 and not any("Conv2D" in kind for kind in kinds)
    for shape in ((16, 16, 3), (7, 8, 3), (None, 8, 3)):
        assert "Conv2D" in _kinds(conv, *shape) and "MatMul" not in _kinds(conv, *shape)
    assert "Conv2DBackpropInput" in _kinds(transposed, 8, 8, 3)


@pytest.mark.usefixtures("few_weights")
def test_a_gpu_has_kernels_of_its_own(monkeypatch):
    monkeypatch.setattr("kgen.training.backend.tensorflow.has_accelerator", lambda: True)
    assert "Conv2D" in _kinds(_layer(keras.layers.Conv2D, (8, 8, 3)), 8, 8, 3)
