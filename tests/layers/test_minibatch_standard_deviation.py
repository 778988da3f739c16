import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers.minibatch_standard_deviation import MinibatchStandardDeviation
from tests.checks.gradients import gradient_penalty_gradients
from tests.checks.layers import check_layer, check_saved_model_equal


def features(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def by_hand(x, group_size, parts):
    """Loops over groups and parts of the channels, in numpy."""
    groups = max(1, len(x) // group_size)
    appended = np.zeros((*x.shape[:-1], parts))
    width = x.shape[-1] // parts
    for group in range(groups):
        for part in range(parts):
            members = x[group::groups, ..., part * width : (part + 1) * width].astype("float64")
            appended[group::groups, ..., part] = members.std(axis=0).mean()
    return np.concatenate([x, appended], axis=-1)


@pytest.mark.backends
def test_layer():
    # An output depends on its batch, so that it is not compared with one alone; saving is tested below.
    check_layer(MinibatchStandardDeviation, {}, {"inputs": (6, 3, 3, 4)}, (6, 3, 3, 5), stochastic=True)
    arguments = {"group_size": 2, "features": 2, "epsilon": 1e-4}
    check_layer(MinibatchStandardDeviation, arguments, {"inputs": (5, 4)}, (5, 6), stochastic=True)


@pytest.mark.backends
@pytest.mark.parametrize("batch", [8, 1, 3, 5, 7])
@pytest.mark.parametrize("parts", [1, 3])
def test_equals_the_formula_for_any_batch(batch, parts):
    x = 3 * features(batch, 2, 4, 6) + 1
    outputs = ops.convert_to_numpy(MinibatchStandardDeviation(4, parts)(x))
    np.testing.assert_allclose(outputs, by_hand(x, 4, parts), rtol=1e-4, atol=2e-4)


@pytest.mark.backends
def test_groups_of_a_batch_that_divides_are_those_of_the_paper():
    """Published as a reshape to (group_size, groups, ...) and the deviation along the first axis."""
    x = features(12, 2, 2, 3)
    published = np.tile(x.reshape(4, 3, -1).std(axis=0).mean(axis=1), 4)
    outputs = ops.convert_to_numpy(MinibatchStandardDeviation(4)(x))
    np.testing.assert_allclose(outputs[..., 3], np.broadcast_to(published[:, None, None], (12, 2, 2)), rtol=1e-4)


@pytest.mark.backends
def test_saves_and_compiles_for_a_batch_unknown_in_advance(tmp_path):
    inputs = keras.Input((2, 2, 4))
    model = keras.Model(inputs, MinibatchStandardDeviation(4, 2)(inputs))
    model.compile(jit_compile=keras.backend.backend() != "torch")
    for batch in (4, 1, 7, 8):
        x = features(batch, 2, 2, 4)
        np.testing.assert_allclose(model.predict_on_batch(x), by_hand(x, 4, 2), rtol=1e-4, atol=2e-4)
    check_saved_model_equal(model, features(6, 2, 2, 4), tmp_path / "model.keras")


def test_takes_any_batch_in_one_trace(tensorflow_backend):
    import tensorflow as tf

    layer = MinibatchStandardDeviation(4)
    traced = tf.function(layer, input_signature=[tf.TensorSpec((None, None, None, 4))])
    for batch in (1, 2, 6, 8, 9):
        x = features(batch, 2, 3, 4)
        np.testing.assert_allclose(traced(x), by_hand(x, 4, 1), rtol=1e-4, atol=2e-4)
    assert traced.experimental_get_tracing_count() == 1


@pytest.mark.backends
@pytest.mark.parametrize("batch", [1, 5])
def test_gradients_are_finite_where_all_images_are_equal(batch):
    """First and second ones, of a network whose kernel stands before the statistic."""
    model = keras.Sequential(
        [keras.Input((2, 2, 3)), keras.layers.Dense(4), MinibatchStandardDeviation(), keras.layers.Dense(1)]
    )
    x = np.ones((batch, 2, 2, 3), "float32")
    gradients = gradient_penalty_gradients(model, x)
    assert gradients and all(np.all(np.isfinite(gradient)) for gradient in gradients.values())
    kernel = model.layers[0].kernel
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    model.fit(x, np.ones((batch, 2, 2, 1)), epochs=1, verbose=0)
    assert np.all(np.isfinite(ops.convert_to_numpy(kernel)))


@pytest.mark.backends
def test_tells_a_repeating_generator_from_a_varied_one():
    layer = MinibatchStandardDeviation()
    same = ops.convert_to_numpy(layer(np.repeat(features(1, 2, 2, 4), 6, axis=0)))[..., 4]
    varied = ops.convert_to_numpy(layer(features(6, 2, 2, 4)))[..., 4]
    assert np.all(same < 1e-3) and np.all(varied > 0.3)


def test_refuses_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="MinibatchStandardDeviation: group_size must .* integer of at least 1; got 0"):
        MinibatchStandardDeviation(0)
    with pytest.raises(ValueError, match="features must be an integer of at least 1; got 0"):
        MinibatchStandardDeviation(features=0)
    with pytest.raises(ValueError, match="epsilon must be above 0; got 0"):
        MinibatchStandardDeviation(epsilon=0)
    with pytest.raises(ValueError, match="4 channels cannot be split into features=3"):
        MinibatchStandardDeviation(features=3)(features(2, 2, 2, 4))
