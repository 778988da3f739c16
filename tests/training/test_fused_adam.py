import keras
import numpy as np
import pytest
from keras import ops

from kgen.training import backend


@pytest.fixture
def kernel_calls(tensorflow_backend, monkeypatch):
    """What TensorFlow's kernel is called with."""
    import tensorflow as tf

    calls, kernel = [], tf.raw_ops.ResourceApplyAdam
    monkeypatch.setattr(tf.raw_ops, "ResourceApplyAdam", lambda **given: calls.append(given) or kernel(**given))
    return calls


def _run(step, options, scaled=False):
    """A variable and the state of its optimizer after five steps."""
    numbers = np.random.default_rng(0)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 2, 0.5)
    variable = keras.Variable(np.array([[1.0, -2.0], [0.5, 3.0]], "float32"))
    optimizer = keras.optimizers.Adam(rate, **options)
    optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0) if scaled else optimizer
    optimizer.build([variable])
    for _ in range(5):
        step(optimizer, [ops.convert_to_tensor(numbers.normal(size=(2, 2)).astype("float32"))], [variable])
    return [ops.convert_to_numpy(v) for v in (variable, *optimizer.variables)]


def _by_keras(optimizer, gradients, variables):
    optimizer.apply(gradients, variables)


@pytest.mark.parametrize("options", [{}, {"beta_1": 0.0, "clipnorm": 0.5, "weight_decay": 0.1}])
@pytest.mark.parametrize("scaled", [False, True])
def test_it_is_that_of_keras(kernel_calls, options, scaled):
    ours, theirs = (_run(step, options, scaled) for step in (backend.apply_gradients, _by_keras))
    assert len(kernel_calls) == 5
    for found, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_updates_by_one_kernel(kernel_calls):
    variable = keras.Variable([1.0, 2.0])
    for optimizer in (keras.optimizers.Adam(0.1), keras.optimizers.Adam(0.1, amsgrad=True), keras.optimizers.SGD(0.1)):
        optimizer.build([variable])
        backend.apply_gradients(optimizer, [ops.ones(2)], [variable])
    assert len(kernel_calls) == 1
    np.testing.assert_allclose(kernel_calls[0]["lr"], 0.1, rtol=1e-6)


@pytest.mark.parametrize("version", ["3.14.2", "3.16.0", "4.0.0", "3.15.1"])
def test_another_keras_uses_its_own(kernel_calls, monkeypatch, version):
    monkeypatch.setattr(keras, "__version__", version)
    found = _run(backend.apply_gradients, {})
    assert len(kernel_calls) == (5 if version == "3.15.1" else 0)
    for ours, theirs in zip(found, _run(_by_keras, {}), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_an_adam_without_what_is_read_uses_its_own(kernel_calls, monkeypatch):
    from kgen.training.backend import fused_adam

    monkeypatch.setattr(fused_adam, "ATTRIBUTES", (*fused_adam.ATTRIBUTES, "_moments_of_a_later_version"))
    for ours, theirs in zip(_run(backend.apply_gradients, {}), _run(_by_keras, {}), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not kernel_calls
