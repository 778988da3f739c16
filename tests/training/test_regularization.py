import keras
import numpy as np
import pytest
from keras import layers, ops, regularizers

from kgen.training import MovingAverage, Phase, PhasedModel, backend
from tests.checks import models

SGD = keras.optimizers.SGD


@keras.saving.register_keras_serializable(package="kgen_tests")
class AddsMean(layers.Layer):
    """Adds the mean of what it is given to the loss."""

    def call(self, x):
        self.add_loss(ops.mean(x))
        return x


@keras.saving.register_keras_serializable(package="kgen_tests")
class Regularized(PhasedModel):
    """Two lines, of which the first is called twice and in a branch, and the second in the first's phase too."""

    def __init__(self, kernel=0.0, activity=0.0, adds=False, seed=0, **kwargs):
        super().__init__(seed=seed, **kwargs)
        self.kernel, self.activity, self.adds = kernel, activity, adds
        self.first = self.line()
        self.second = self.line()
        self.average = MovingAverage(self.first)
        self.built = True

    def line(self):
        arguments = {
            "kernel_regularizer": regularizers.L2(self.kernel) if self.kernel else None,
            "activity_regularizer": regularizers.L1(self.activity) if self.activity else None,
            "kernel_initializer": "ones",
            "use_bias": False,
        }
        return keras.Sequential([keras.Input((2,)), layers.Dense(1, **arguments), *[AddsMean()] * self.adds])

    def phases(self):
        variables = self.first.trainable_variables
        return [
            Phase("first", self.first_loss, variables),
            Phase("second", lambda x, training: 0.0 * self.second(x)[:, 0], self.second.trainable_variables),
        ]

    def first_loss(self, x, training):
        line = self.first if training else self.average
        slope = backend.input_gradient(lambda x: self.first(x)[:, 0], x)
        branch = backend.value_if(ops.any(x > -1e9), lambda: ops.cast(self.first(x)[:, 0], x.dtype), x[:, 0])
        total = line(x)[:, 0] + line(x)[:, 0] + self.second(x)[:, 0]
        return 0.0 * (ops.cast(total, "float32") + ops.cast(slope[:, 0], "float32") + branch)


def with_all():
    model = Regularized(kernel=0.5, activity=0.25, adds=True)
    model.compile(SGD(0.1))
    return model


X = np.float32([[1, 2], [3, 4], [0, 1]])


@pytest.mark.backends
@pytest.mark.parametrize(
    "arguments, loss, first, second",
    [
        # 0.5 (1 + 1), whose slope is 1 for each weight.
        ({"kernel": 0.5}, 1.0, [0.9, 0.9], [0.9, 0.9]),
        # The mean of 3, 7 and 1 a call, as Keras divides by the batch: two calls of the first line, one of the second.
        ({"activity": 1.0}, 11 / 3, [1 - 0.1 * 8 / 3, 1 - 0.1 * 14 / 3], [1 - 0.1 * 4 / 3, 1 - 0.1 * 7 / 3]),
        ({"adds": True}, 11 / 3, [1 - 0.1 * 8 / 3, 1 - 0.1 * 14 / 3], [1 - 0.1 * 4 / 3, 1 - 0.1 * 7 / 3]),
    ],
)
def test_each_phase_pays_for_what_its_own_network_adds(arguments, loss, first, second):
    model = Regularized(**arguments)
    model.compile(SGD(0.1))
    # The same in every step: nothing is left over from the one before.
    for _ in range(2):
        calls = 1 if "kernel" in arguments else 2
        expected = {"first_loss": calls * loss, "second_loss": loss}
        logs = model.test_on_batch(X, return_dict=True)
        model.reset_metrics()
        for name, value in expected.items():
            assert logs[name] == pytest.approx(value, rel=1e-5)
            assert logs[name.replace("loss", "regularization")] == pytest.approx(value, rel=1e-5)
        trained = model.train_on_batch(X, return_dict=True)
        assert set(trained) == set(logs)
        assert trained["first_loss"] == pytest.approx(calls * loss, rel=1e-5)
        np.testing.assert_allclose(model.first.get_weights()[0][:, 0], first, rtol=1e-5)
        np.testing.assert_allclose(model.second.get_weights()[0][:, 0], second, rtol=1e-5)
        for line in (model.first, model.second, model.average.network):
            line.set_weights([np.ones((2, 1))])
        model.reset_metrics()


@pytest.mark.backends
def test_nothing_is_reported_where_nothing_is_added():
    model = Regularized()
    model.compile(SGD(0.1))
    assert not any("regularization" in name for name in models.fit(model, X, 2, 1).history)
    assert "add_loss" not in vars(model.first.layers[0])


def test_backends_agree():
    models.check_backends_agree(with_all, np.tile(X, (9, 1)), batch_size=4)


def test_replicas(tensorflow_backend):
    models.check_replicas(with_all, np.tile(X, (9, 1))[:-1], batch_size=8)


@pytest.mark.backends
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision(policy):
    models.check_mixed_precision(with_all, np.tile(X, (9, 1)), policy)
