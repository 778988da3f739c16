import keras
import numpy as np
import pytest

from kgen.training import MovingAverage, network_copy

pytestmark = pytest.mark.backends


def _network():
    return keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(4), keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)]
    )


def test_begins_as_a_copy():
    network = _network()
    network.set_weights([np.random.default_rng(0).uniform(0.5, 1.0, w.shape) for w in network.get_weights()])
    average = MovingAverage(network)
    for own, trained in zip(average.network.get_weights(), network.get_weights()):
        np.testing.assert_array_equal(own, trained)
    assert not {id(v) for v in average.network.variables} & {id(v) for v in network.variables}
    assert average.trainable_variables == []


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.999])
def test_closed_form(momentum):
    network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    network.set_weights([np.array([[2.0]]), np.array([5.0])])
    average = MovingAverage(network, momentum)
    expected = 2.0
    for step in range(1, 15):
        network.set_weights([np.array([[float(step**2)]]), np.array([5.0])])
        average.update(network)
        m = min(momentum, (1 + step) / (10 + step))
        expected = m * expected + (1 - m) * step**2
    kernel, bias = average.network.get_weights()
    np.testing.assert_allclose(kernel, [[expected]], rtol=1e-5)
    np.testing.assert_allclose(bias, [5.0], rtol=1e-6)
    assert float(average.updates) == 14


def test_statistics_are_copied():
    network = _network()
    average = MovingAverage(network, 0.9)
    network(np.random.default_rng(0).normal(3.0, 2.0, (16, 3)), training=True)
    average.update(network)
    own, trained = average.network.layers[1], network.layers[1]
    assert np.any(keras.ops.convert_to_numpy(trained.moving_mean) != 0.0)
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (own.moving_mean, trained.moving_mean)))
    np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (own.moving_variance, trained.moving_variance)))


def test_calls_the_averaged_network_as_at_inference():
    network = _network()
    average = MovingAverage(network)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    expected = keras.ops.convert_to_numpy(network(x, training=False))
    network.set_weights([w + 1.0 for w in network.get_weights()])
    for training in (False, True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(average(x, training=training)), expected)


def test_config_and_saving(tmp_path):
    network = _network()
    average = MovingAverage(network, 0.75, name="slow")
    network.set_weights([w + 1.0 for w in network.get_weights()])
    average.update(network)
    again = MovingAverage.from_config(average.get_config())
    assert (again.name, again.momentum, again.dtype_policy) == ("slow", 0.75, average.dtype_policy)

    model = keras.Sequential([keras.Input((3,)), average])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras").layers[0]
    assert float(loaded.updates) == 1
    for own, saved in zip(loaded.network.get_weights(), average.network.get_weights()):
        np.testing.assert_array_equal(own, saved)


@pytest.mark.parametrize("momentum", [-0.1, 1.0, 2])
def test_momentum_out_of_range(momentum):
    with pytest.raises(ValueError, match=r"MovingAverage: momentum must be in \[0, 1\); got"):
        MovingAverage(_network(), momentum)


def test_network_without_weights():
    with pytest.raises(ValueError, match="has no weights yet. Build it first"):
        MovingAverage(keras.Sequential([keras.layers.Dense(4)]))


def test_a_copy_of_a_network_shares_nothing():
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    copy = network_copy(network)
    for one, other in zip(network.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    copy.trainable = False
    copy.set_weights([weight + 1 for weight in copy.get_weights()])
    assert network.trainable and not np.array_equal(network.get_weights()[0], copy.get_weights()[0])


@pytest.mark.backends
def test_a_copy_with_weights_of_its_own_begins_elsewhere():
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    kept = network.get_weights()
    copy = network_copy(network, weights=False)
    assert copy.get_config() == network.get_config() and np.any(copy.get_weights()[0] != kept[0])
    np.testing.assert_array_equal(network.get_weights()[0], kept[0])


def test_says_whether_it_has_learned():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    average = MovingAverage(network)
    assert not average.trained
    average.update(network)
    assert average.trained
    average.update(network)
    average.restart()
    assert average.trained and float(average.updates) == 1.0


# === What cannot be copied ===
class Unknown(keras.layers.Layer):
    """Registered nowhere."""

    def call(self, x):
        return x


def test_a_lambda_is_named_with_what_helps():
    network = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x, name="twice")], name="mine")
    with pytest.raises(
        ValueError, match="^the network 'mine' cannot be copied or saved: it has a Lambda layer, 'twice'"
    ):
        network_copy(network)


def test_a_class_that_is_not_registered_is_named():
    inner = keras.Sequential([keras.Input((3,)), Unknown(name="odd")])
    network = keras.Sequential([keras.Input((3,)), inner], name="mine")
    with pytest.raises(ValueError, match="'odd' is of the class Unknown, .*register_keras_serializable") as caught:
        network_copy(network)
    assert len(str(caught.value)) < 300


def test_other_reasons_are_one_line():
    @keras.saving.register_keras_serializable(package="kgen_tests")
    class Needy(keras.layers.Layer):
        def __init__(self, wanted, **kwargs):
            super().__init__(**kwargs)

        def get_config(self):
            return super().get_config()

        def call(self, x):
            return x

    network = keras.Sequential([keras.Input((3,)), Needy(1)], name="mine")
    with pytest.raises(ValueError, match="^the network 'mine' cannot be copied or saved: .*wanted") as caught:
        network_copy(network)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
