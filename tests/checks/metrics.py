"""What every measure of `kgen.metrics` owes, written once.

Each check takes a factory of a metric, an importable function, and pairs of arrays `(real, generated)` to update it by.
"""

import warnings

import keras
import numpy as np
import pytest

from kgen.training import backend
from tests.checks.processes import in_worker, name_of, replicas, resolve


def check_metric(make_metric, real, generated, tolerance=1e-9, in_step=None):
    """Batches, order, reset, config, a compiled step, two replicas, and what cannot be measured.

    Args:
        make_metric: factory.
        real, generated: arrays of one length, at least 24.
        tolerance: of numbers that should be the same, relative.
        in_step: the same for what a compiled step computed, which JAX does in float32.
    """
    expected = measured(make_metric(), real, generated, [len(real)])
    # A deviation over subsets is NaN where there is one.
    assert expected and all(np.isfinite(value) for name, value in expected.items() if "_std" not in name)
    check_batches_and_order(make_metric, expected, real, generated, tolerance)
    check_reset_and_config(make_metric, expected, real, generated, tolerance)
    check_compiled(make_metric, expected, real, generated, in_step or max(tolerance, 1e-4))
    check_undefined(make_metric, real, generated)


def measured(metric, real, generated, sizes):
    """Numbers after updates in batches of these sizes, the last one repeated."""
    start, sizes = 0, list(sizes)
    while start < len(generated):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        metric.update_state(real[start : start + size], generated[start : start + size])
        start += size
    return metric.results()


def assert_equal(actual, expected, tolerance):
    assert list(actual) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=tolerance, atol=1e-3 * tolerance, err_msg=name)


def check_batches_and_order(make_metric, expected, real, generated, tolerance):
    assert_equal(measured(make_metric(), real, generated, [1, 7]), expected, tolerance)
    order = np.random.default_rng(1).permutation(len(real))
    assert_equal(measured(make_metric(), real[order], generated[order], [10]), expected, tolerance)


def check_reset_and_config(make_metric, expected, real, generated, tolerance):
    metric = make_metric()
    metric.update_state(generated, generated[::-1])
    metric.reset_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert all(np.isnan(value) for value in metric.results().values())
    assert_equal(measured(metric, real, generated, [11]), expected, tolerance)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(make_metric()))
    assert again.name == metric.name and again.keys == metric.keys
    assert_equal(measured(again, real, generated, [11]), expected, tolerance)


def check_compiled(make_metric, expected, real, generated, tolerance):
    """A metric that a compiled step updates, as Keras does it: through the state on JAX."""
    metric = make_metric()
    metric.build_for(real.shape[1:]) if real.ndim == 4 else metric.build(real.shape[-1])
    if keras.backend.backend() == "jax":
        import jax

        step = jax.jit(lambda state, x, y: metric.stateless_update_state(state, x, y))
        state = [variable.value for variable in metric.variables]
        for start in range(0, len(real), 12):
            state = step(state, real[start : start + 12], generated[start : start + 12])
        for variable, value in zip(metric.variables, state):
            variable.assign(value)
    elif keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        @tf.function
        def step(x, y):
            assert backend.is_traced(x)
            metric.update_state(x, y)
            return metric.result()

        for start in range(0, len(real), 12):
            step(*(tf.constant(x[start : start + 12]) for x in (real, generated)))
    else:
        for start in range(0, len(real), 12):
            parts = [keras.ops.convert_to_tensor(x[start : start + 12]) for x in (real, generated)]
            metric.update_state(*parts)
    assert_equal(metric.results(), expected, tolerance)


def check_undefined(make_metric, real, generated):
    """Wrong input is refused by name; what no number can be had of is NaN and says so."""
    name = type(make_metric()).__name__
    with pytest.raises(ValueError, match=name):
        make_metric().update_state(real, generated[:0])
    with pytest.raises((ValueError, TypeError), match=name):
        make_metric().update_state(real, generated.astype("int32"))
    with pytest.raises(TypeError, match=name):
        make_metric().update_state(real, [[0.0, 1.0]])
    with pytest.raises(ValueError, match="sample_weight"):
        make_metric().update_state(real, generated, sample_weight=np.ones(len(real)))
    if real.ndim == 2:
        broken = generated.copy()
        broken[3] = np.nan
        metric = make_metric()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            metric.update_state(real, broken)
            results = metric.results()
        best = {key: {"min": 0.0, "max": 1.0}[way] for key, way in metric.directions.items()}
        undefined = [np.isnan(value) for value in results.values()]
        # Where an image of NaN is a miss among others, there is a number, but not the best.
        missed = metric.paired and all(results[key] != value for key, value in best.items())
        assert all(undefined) and said or missed, results


def check_metric_replicas(cases, tolerance=1e-9):
    """Two replicas of `tf.distribute` that share each batch, one of them with nothing of the last, are one device.

    Args:
        cases: list of `(factory, real, generated)`.
        tolerance: relative.
    """
    cases = [(name_of(make_metric), real, generated) for make_metric, real, generated in cases]
    for name, alone, together in in_worker(_on_two_replicas, cases, backend="tensorflow"):
        assert alone and all(np.isfinite(value) for value in alone.values()), name
        assert_equal(together, alone, tolerance)


def _on_two_replicas(cases):
    import tensorflow as tf

    strategy = replicas()
    results = []
    for name, real, generated in cases:
        make_metric = resolve(name)
        with strategy.scope():
            metric = make_metric()
            metric.build_for(real.shape[1:]) if real.ndim == 4 else metric.build(real.shape[-1])
        # 8 a step, 4 to a replica; all the last step's rows go to the first.
        data = tf.data.Dataset.from_tensor_slices((real, generated)).batch(8)

        @tf.function
        def step(x, y, metric=metric):
            strategy.run(metric.update_state, args=(x, y))

        for batch in strategy.experimental_distribute_dataset(data):
            step(*batch)
        results.append((name, measured(make_metric(), real, generated, [len(real)]), metric.results()))
    return results
