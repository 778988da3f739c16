import keras
import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("TensorFlow's kernel", allow_module_level=True)

from kgen.training import backend  # noqa: E402
from kgen.training.backend.fast_layers import fast_layers  # noqa: E402
from kgen.training.backend.fused_batch_norm import can_fuse  # noqa: E402


def _layer(shape, **options):
    layer = keras.layers.BatchNormalization(momentum=0.9, **options)
    layer.build((None, *shape))
    for variable in layer.variables:
        variable.assign(np.random.default_rng(0).uniform(0.5, 1.5, variable.shape))
    return layer


def _results(layer, inputs, fused, training=True):
    """Outputs, the gradients of a function of them by inputs and weights, and the statistics after a step."""
    with fast_layers([layer] if fused else []), tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=training)
        slopes = np.random.default_rng(2).normal(size=inputs.shape)
        total = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")) * slopes)
    weights = [v.value for v in layer.trainable_variables]
    gradients = tape.gradient(total, [inputs, *weights])
    statistics = [np.array(v) for v in layer.non_trainable_variables]
    return [np.array(tf.cast(t, "float32")) for t in (outputs, *gradients)], statistics


@pytest.mark.parametrize("shape", [(6, 5, 3), (3,)])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"dtype": "mixed_bfloat16"}])
def test_the_kernel_is_keras_batch_normalisation(shape, options):
    inputs = tf.constant(np.random.default_rng(1).normal(2.0, 3.0, (8, *shape)), "float32")
    half = options.get("dtype") is not None
    inputs = tf.cast(inputs, "bfloat16" if half else "float32")
    results = [_results(_layer(shape, **options), inputs, fused) for fused in (True, False)]
    for (one, other), tolerance in zip(zip(*results), (2e-2 if half else 1e-4, 2e-2 if half else 1e-5), strict=True):
        for fused, keras_own in zip(one, other, strict=True):
            np.testing.assert_allclose(fused, keras_own, rtol=tolerance, atol=tolerance * np.abs(keras_own).max())


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

    graph = tf.function(step).get_concrete_function(tf.TensorSpec((None, 4, 4, 3))).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("FusedBatchNormV3") == 1 and kinds.count("FusedBatchNormGradV3") == 1
    assert "call" not in vars(layer)


@pytest.mark.parametrize("shape", [(6, 5, 3), (3,)])
def test_the_gradient_of_a_penalty_on_the_slope(shape):
    inputs = tf.constant(np.random.default_rng(1).normal(2.0, 3.0, (8, *shape)), "float32")
    found = []
    for fused in (True, False):
        layer = _layer(shape)

        def penalty(layer=layer):
            slope = backend.input_gradient(lambda x: tf.reduce_sum(tf.sin(layer(x, training=True)), axis=-1), inputs)
            return tf.reduce_sum(tf.square(slope)), ()

        with fast_layers([layer] if fused else []):
            found.append(backend.value_and_grad(penalty, layer.trainable_variables))
    ((one, _), gradients), ((other, _), wanted) = found
    np.testing.assert_allclose(one, other, rtol=1e-4)
    for gradient, expected in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
