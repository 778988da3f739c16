import keras
import numpy as np
import pytest
from keras import ops

from kgen.training import Phase
from tests.checks import models
from tests.training import toy


def _toy(shared):
    model = models.make(lambda: toy.Toy(noisy=False, every=1, shared=shared))
    for layer in model.generator.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.regularizer = keras.regularizers.L2(0.01)
    model.compile(keras.optimizers.SGD(0.3))
    return model


@pytest.mark.backends
def test_a_shared_forward_trains_as_one_for_each_phase():
    shared, apart = _toy(True), _toy(False)
    apart.set_weights(shared.get_weights())
    data = toy.points(24)
    histories = [models.fit(model, data, 8, 2).history for model in (shared, apart)]
    assert histories[0].keys() == histories[1].keys() and "generator_regularization" in histories[0]
    for name, values in histories[0].items():
        np.testing.assert_allclose(values, histories[1][name], rtol=1e-5, err_msg=name)
    for one, other in zip(shared.trainable_variables, apart.trainable_variables, strict=True):
        np.testing.assert_allclose(*map(ops.convert_to_numpy, (one, other)), rtol=1e-4, atol=1e-6)


@pytest.mark.backends
def test_a_shared_forward_runs_once_a_step_and_so_do_its_statistics():
    counts = {}
    for shared in (True, False):
        model = _toy(shared)
        model.run_eagerly = True
        calls, call = [], model.generator.call
        model.generator.call = lambda *args, call=call, calls=calls, **kwargs: calls.append(1) or call(*args, **kwargs)
        before = ops.convert_to_numpy(model.generator.layers[1].moving_mean)
        model.train_on_batch(toy.points(8))
        counts[shared] = len(calls), ops.convert_to_numpy(model.generator.layers[1].moving_mean) - before
    (once, moved), (twice, moved_twice) = counts[True], counts[False]
    assert (once, twice) == (1, 2)
    # By a tenth of the way, and then by a tenth of what is left.
    np.testing.assert_allclose(1.9 * moved, moved_twice, rtol=1e-4, atol=1e-6)


@pytest.mark.backends
@pytest.mark.parametrize("part", ["points", "latents"])
def test_a_bad_step_leaves_statistics_of_a_shared_forward_as_they_were(part):
    model = _toy(True)
    data = toy.points(8)
    data[part][2] = np.nan
    before = [ops.convert_to_numpy(v) for v in model.generator.variables]
    with pytest.raises(FloatingPointError, match="training step 1"):
        model.train_on_batch(data)
    norm = model.generator.layers[1]
    assert all(np.isfinite(ops.convert_to_numpy(v)).all() for v in model.variables)
    if part == "latents":
        after = [ops.convert_to_numpy(v) for v in model.generator.variables]
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)
    else:
        np.testing.assert_array_equal(ops.convert_to_numpy(norm.moving_mean), np.zeros(6))


def test_what_is_made_in_each_step_is_wanted_in_each():
    with pytest.raises(ValueError, match="every must be 1; got 2"):
        Phase("generator", print, [keras.Variable(1.0)], every=2, forward=print)
