import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's kernel", allow_module_level=True)

from kgen.training import backend  # noqa: E402
from kgen.training.backend.fused_batch_norm import can_fuse  # noqa: E402
from tests.checks import fast_layers as checks  # noqa: E402


def _layer(shape, **options):
    layer = keras.layers.BatchNormalization(momentum=0.9, **options)
    layer.build((None, *shape))
    for variable in layer.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    return layer


def _results(layer, inputs, fused, training=True):
    """Outputs, the gradients of a function of them by inputs and weights, and the statistics after a step."""
    found = checks.results(layer, inputs, fused, training=training)
    return found, [np.array(v) for v in layer.non_trainable_variables]


@pytest.mark.parametrize("shape", [(6, 5, 3), (3,)])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"dtype": "mixed_bfloat16"}])
def test_the_kernel_is_keras_batch_normalisation(shape, options):
    inputs = tf.constant(np.random.default_rng(1).normal(2.0, 3.0, (8, *shape)), "float32")
    half = options.get("dtype") is not None
    inputs = tf.cast(inputs, "bfloat16" if half else "float32")
    results = [_results(_layer(shape, **options), inputs, fused) for fused in (True, False)]
    tolerances = (2e-2, 2e-2) if half else (1e-4, 1e-5)
    for (fused, keras_own), tolerance in zip(zip(*results), tolerances, strict=True):
        checks.assert_close(fused, keras_own, rtol=tolerance, atol=tolerance)


def test_evaluation_and_frozen_layers_are_keras_own():
    inputs = tf.random.normal((8, 4, 4, 3))
    layer = _layer((4, 4, 3))
    frozen = _layer((4, 4, 3))
    frozen.trainable = False
    for which, training in ((layer, False), (frozen, True)):
        (outputs, *_), statistics = _results(which, inputs, True, training)
        mean, variance = statistics[-2:]
        gamma, beta = (np.array(v) for v in which.variables[:2])
        wanted = (inputs - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-5)


def test_which_can_be_fused():
    class Own(keras.layers.BatchNormalization):
        pass

    own = Own()
    own.build((None, 3))
    assert can_fuse(_layer((4, 4, 3))) and can_fuse(_layer((4, 4, 3), axis=3))
    others = _layer((4, 4, 3), axis=1), _layer((4, 3)), _layer((3,), renorm=True), _layer((3,), synchronized=True), own
    assert not any(map(can_fuse, [*others, keras.layers.BatchNormalization(), keras.layers.Dense(2)]))


def test_a_step_has_one_kernel_each_way_and_leaves_the_layer_as_it_was():
    layer = _layer((4, 4, 3))

    def step(inputs):
        def loss():
            return tf.reduce_mean(layer(inputs, training=True) ** 2), ()

        function = lambda data: backend.value_and_grad(loss, layer.trainable_variables)  # noqa: E731
        return backend.run_step(function, [], (None,), lambda: [layer])

    kinds = checks.operations_of(step, 4, 4, 3)
    assert kinds.count("FusedBatchNormV3") == 1 and kinds.count("FusedBatchNormGradV3") == 1
    assert "call" not in vars(layer)


@pytest.mark.parametrize("shape", [(6, 5, 3), (3,)])
def test_the_gradient_of_a_penalty_on_the_slope(shape):
    inputs = tf.constant(np.random.default_rng(1).normal(2.0, 3.0, (8, *shape)), "float32")
    checks.check_slope_penalty(lambda: _layer(shape), inputs, training=True)
