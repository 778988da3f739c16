import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.training import MovingAverage, Phase, PhasedModel, nonfinite
from tests.checks import models
from tests.checks.processes import in_worker, replicas
from tests.models import tiny
from tests.training import toy


def _toy(mode, **kwargs):
    model = models.make(toy.quiet)
    model.compile(keras.optimizers.SGD(0.1), on_nonfinite=mode, **kwargs)
    return model


def _spoiled(rows=40, batch=2):
    """Data for `Toy` with a NaN in one batch of 8, counted from 0."""
    data = toy.points(rows)
    data["points"][8 * batch + 3, 1] = np.nan
    return data


def _is_finite(model):
    return all(np.isfinite(value).all() for _, value in models.state(model))


# === In training ===
@pytest.mark.backends
@pytest.mark.parametrize("steps", [1, 3])
def test_an_error_names_step_and_phase_and_the_weights_stay_good(steps):
    if steps > 1 and keras.backend.backend() == "torch":
        pytest.skip("Keras makes one step at a time on torch.")
    model = _toy("raise", steps_per_execution=steps)
    with pytest.raises(FloatingPointError, match="^Toy: in training step 3 the loss of phase 'discriminator'"):
        models.fit(model, _spoiled(), 8, 2)
    assert _is_finite(model)
    # It is as good as new, whatever was in flight.
    before = model.get_weights()
    history = models.fit(model, toy.points(16), 8, 1)
    assert np.isfinite(history.history["loss"]).all()
    assert any(np.any(a != b) for a, b in zip(before, model.get_weights()))


@pytest.mark.backends
def test_the_last_step_of_a_training_counts_too():
    model = _toy("raise")
    with pytest.raises(FloatingPointError, match="training step 5"):
        models.fit(model, _spoiled(batch=4), 8, 1)
    data = {name: value[32:] for name, value in _spoiled(batch=4).items()}
    with pytest.raises(FloatingPointError, match="training step 6"):
        model.train_on_batch(data)


class _Normed(PhasedModel):
    """One phase, and BatchNorm, whose statistics a NaN would spoil for good. The loss is a function of outputs."""

    def __init__(self, loss=ops.square):
        super().__init__(seed=0)
        self.network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4), keras.layers.BatchNormalization()])
        self.loss_of = loss
        self.built = True

    def phases(self):
        return [Phase("network", self.network_loss, self.network.trainable_variables)]

    def network_loss(self, batch, training):
        return ops.mean(self.loss_of(ops.cast(self.network(batch, training=training), "float32") - 1.0), axis=-1)


def _normed(mode, optimizer="sgd", **kwargs):
    model = models.make(lambda: _Normed(**kwargs))
    model.compile(optimizer, on_nonfinite=mode)
    return model


@pytest.mark.backends
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_to_skip_a_batch_is_to_train_without_it(optimizer):
    model, other = _normed("skip", optimizer), _normed(None, optimizer)
    other.set_weights(model.get_weights())
    data, _ = toy.line_data(40)
    data[19] = np.inf
    history = models.fit(model, data, 8, 2).history
    expected = models.fit(other, data[np.r_[0:16, 24:40]], 8, 2).history
    assert history.pop("skipped_steps") == [1.0, 1.0] and int(model.optimizer.iterations) == 10
    assert history["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for weight, wanted in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, wanted)


def test_no_average_is_copied_in_each_step():
    """As it is updated when all phases are done; a prior of code words has one within."""

    class Averaged(keras.layers.Layer):
        def __init__(self, network):
            super().__init__()
            self.network, self.average = network, MovingAverage(network, 0.9)
            self.built = True

    model = _Normed()
    model.averaged = Averaged(model.network)
    model.compile("sgd")
    assert {v.name for v in model.guard.state} == {"moving_mean", "moving_variance"} and len(model.guard.state) == 2


@pytest.mark.backends
def test_a_gradient_counts_where_the_loss_is_finite():
    def zero(x):
        return ops.sqrt(ops.square(x - ops.stop_gradient(x)))  # its slope is 0 / 0

    model = _normed("raise", loss=zero)
    with pytest.raises(FloatingPointError, match="_Normed: in training step 1 the loss of phase 'network', or its"):
        model.train_on_batch(toy.line_data(8)[0])
    assert _is_finite(model)


@pytest.mark.backends
def test_none_trains_on():
    model = _normed(None)
    data, _ = toy.line_data(16)
    data[3] = np.nan
    history = models.fit(model, data, 8, 1).history
    assert np.isnan(history["loss"]).all() and set(history) == {"loss"} and not _is_finite(model)


def test_scaled_gradients_that_overflow_are_usual_in_float16_and_losses_are_not():
    with models._dtype_policy("mixed_float16"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = models.make(_Normed)
        model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.01), initial_scale=2.0**40))
    data, _ = toy.line_data(16)
    models.fit(model, data, 8, 4)
    scale = float(ops.convert_to_numpy(model.optimizer.by_phase["network"].dynamic_scale))
    assert scale < 2.0**40 and _is_finite(model)
    data[3] = np.nan
    with pytest.raises(FloatingPointError, match="step 9"):
        models.fit(model, data, 8, 1)
    assert _is_finite(model)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_a_phase_is_looked_at_once(policy, tensorflow_backend):
    """In bfloat16 too, which needs no loss scale: one question for all gradients, one branch."""
    with models._dtype_policy(policy):
        model = models.make(_Normed)
        model.compile(keras.optimizers.SGD(0.01))
    kinds = [each.type for each in _graph_of_a_step(model).get_operations()]
    assert kinds.count("IsFinite") == 1 and kinds.count("If") + kinds.count("StatelessIf") == 1


def _graph_of_a_step(model):
    import tensorflow as tf

    return tf.function(model.train_step).get_concrete_function(tf.TensorSpec((8, 2))).graph


@pytest.mark.slow
@pytest.mark.usefixtures("tensorflow_backend")
def test_all_replicas_leave_out_the_step_of_which_one_has_a_bad_share():
    skipped, iterations, results = in_worker(_on_two_replicas)
    assert skipped == [1.0] and iterations == 5
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(two, one, atol=1e-6)


def _on_two_replicas():
    with replicas().scope():
        model = _toy("skip")
    one = _toy("skip")
    model.set_weights(one.get_weights())
    data = _spoiled()
    histories = [models.fit(each, data, 8, 1).history for each in (one, model)]
    steps = int(ops.convert_to_numpy(model.optimizer.iterations))
    return histories[1]["skipped_steps"], steps, [m.get_weights() for m in (one, model)]


@pytest.mark.usefixtures("tensorflow_backend")
def test_a_strategy_of_one_device():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = models.make(toy.Lines)
        model.compile("sgd", on_nonfinite="skip")
    x, y = toy.line_data(16)
    y[3] = np.nan
    assert models.fit(model, (x, y), 8, 1).history["skipped_steps"] == [2.0]
    assert _is_finite(model)


def test_what_is_chosen_is_saved(tmp_path):
    models.make(lambda: _toy("skip")).save(tmp_path / "toy.keras")
    model = keras.saving.load_model(tmp_path / "toy.keras")
    assert model.guard.mode == "skip"
    with pytest.raises(ValueError, match='Toy.compile: on_nonfinite must be "raise", "skip" or None; got \'stop\''):
        model.compile(on_nonfinite="stop")


# === Afterwards ===
@pytest.mark.backends
def test_weights_that_are_not_finite_are_told_when_they_are_used_or_saved(tmp_path):
    model = tiny.gan()
    kernel = model.average.network.layers[-2].kernel
    kernel.assign(ops.full(kernel.shape, float("nan")))
    with pytest.raises(FloatingPointError, match=f"^GAN: 1 of .* NaN or infinite, the first is .*{kernel.path}"):
        model.generate(2, seed=0, verbose=0)
    with pytest.warns(
        UserWarning, match=f"GAN: 1 of the saved weights are NaN or infinite, the first is {kernel.path}"
    ):
        model.save(tmp_path / "gan.keras")
    with pytest.raises(FloatingPointError, match="^save_to_preset: 1 of"):
        model.save_to_preset(tmp_path / "preset")
    assert not (tmp_path / "preset").exists()


# === Where float16 is slow ===
def test_float16_on_a_cpu_is_warned_of_once(monkeypatch):
    nonfinite.warn_of_slow_policy.cache_clear()
    monkeypatch.setattr(nonfinite.backend, "has_accelerator", lambda: False)
    with models._dtype_policy("mixed_float16"):
        model = models.make(_Normed)
        with pytest.warns(UserWarning, match="^mixed_float16 without a GPU"):
            model.compile()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model.compile()
    nonfinite.warn_of_slow_policy.cache_clear()
    monkeypatch.setattr(nonfinite.backend, "has_accelerator", lambda: True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nonfinite.warn_of_slow_policy("mixed_float16")
        nonfinite.warn_of_slow_policy("float32")
    nonfinite.warn_of_slow_policy.cache_clear()
