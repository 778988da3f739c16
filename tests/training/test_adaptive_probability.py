import importlib.util

import keras
import numpy as np
import pytest

from kgen.training import AdaptiveProbability
from tests.checks.processes import in_worker, replicas


def state(probability):
    """Probability, total of signs, pictures seen, batches."""
    return [float(keras.ops.convert_to_numpy(v)) for v in probability.variables]


@pytest.mark.backends
def test_follows_the_mean_of_four_batches():
    probability, expected = AdaptiveProbability(), 0.0
    numbers = np.random.default_rng(0)
    for _ in range(12):
        signs = [np.sign(numbers.normal(0.6, 1.0, size)).astype("float32") for size in (8, 8, 8, 3)]
        for i, batch in enumerate(signs):
            before = float(probability.probability)
            probability.update(batch, target=0.45, images=100)
            assert i == 3 or float(probability.probability) == before
        together = np.concatenate(signs)
        expected = np.clip(expected + np.sign(together.mean() - 0.45) * 27 / 100, 0.0, 1.0)
        np.testing.assert_allclose(state(probability), [expected, 0.0, 0.0, 0.0], atol=1e-6)
    assert 0.0 < expected < 1.0


@pytest.mark.backends
def test_goes_from_one_end_to_the_other_and_no_further():
    probability = AdaptiveProbability()
    for sign, expected in ((-1.0, [0.0] * 3), (1.0, [0.32, 0.64, 0.96, 1.0, 1.0]), (-1.0, [0.68, 0.36, 0.04, 0.0])):
        for value in expected:
            for _ in range(4):
                probability.update(np.full(8, sign, "float32"), target=0.6, images=100)
            np.testing.assert_allclose(float(probability.probability), value, atol=1e-6)


def test_loads_what_was_saved_before_there_was_any_state():
    probability = AdaptiveProbability()
    probability.probability.assign(0.25)
    probability.load_own_variables({})
    assert float(probability.probability) == 0.25
    store = {}
    probability.save_own_variables(store)
    again = AdaptiveProbability.from_config(probability.get_config())
    again.load_own_variables(store)
    assert state(again) == state(probability) and again.trainable_variables == []


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")
def test_replicas_have_one_probability_of_all_their_pictures():
    together, alone = in_worker(update_on_two_replicas, backend="tensorflow")
    np.testing.assert_allclose(together, alone, atol=1e-6)
    assert 0.0 < alone[0] < 1.0


def update_on_two_replicas():
    import tensorflow as tf

    strategy = replicas()
    alone = AdaptiveProbability()
    with strategy.scope():
        together = AdaptiveProbability()
    # The first replica's pictures alone would lower p, the second's raise it too far.
    shares = np.float32([-1, 1, -1]), np.float32([1, 1, 1, 1, 1])

    @tf.function
    def step():
        def update():
            index = tf.distribute.get_replica_context().replica_id_in_sync_group
            signs = tf.cond(tf.equal(index, 0), lambda: tf.constant(shares[0]), lambda: tf.constant(shares[1]))
            together.update(signs, target=0.4, images=100)

        strategy.run(update)

    for _ in range(10):
        step()
        alone.update(np.concatenate(shares), target=0.4, images=100)
    return state(together), state(alone)
