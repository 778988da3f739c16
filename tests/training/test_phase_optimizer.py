import importlib.util

import keras
import numpy as np
import pytest

from kgen.training import Phase, PhaseOptimizer
from tests.checks import models
from tests.training import toy


def _loss(batch, training):
    return batch


def test_defaults():
    variable = keras.Variable([1.0])
    phase = Phase("network", _loss, [variable])
    assert (phase.every, phase.terms, phase.measures) == (1, (), ())
    assert phase.variables[0] is variable


@pytest.mark.parametrize("every", [0, -1, 1.5, "2", None, True])
def test_every_must_be_a_positive_integer(every):
    with pytest.raises(ValueError, match=r"Phase 'network': every must be an integer of at least 1; got"):
        Phase("network", _loss, [keras.Variable([1.0])], every=every)


def test_nothing_to_train():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.trainable = False
    with pytest.raises(ValueError, match="Phase 'network': there is nothing to train"):
        Phase("network", _loss, network.trainable_variables)


@pytest.mark.parametrize(
    "names", [{"terms": ("a",), "measures": ("a",)}, {"measures": ("loss",)}, {"terms": ("a", "a")}]
)
def test_a_name_stands_for_one_thing(names):
    with pytest.raises(ValueError, match="Phase 'network': terms and measures need unique names other than 'loss'"):
        Phase("network", _loss, [keras.Variable([1.0])], **names)


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam


def _compiled(optimizer):
    model = toy.Lines()
    model.compile(optimizer)
    return model


def _rates(model):
    return {name: float(o.learning_rate) for name, o in model.optimizer.by_phase.items()}


# === What compile takes ===
def test_one_optimizer_is_copied_for_each_phase():
    model = _compiled(SGD(0.25, momentum=0.5))
    first, second = model.optimizer.optimizers
    assert first is not second
    for optimizer in (first, second):
        assert isinstance(optimizer, SGD) and optimizer.momentum == 0.5
    assert _rates(model) == {"first": 0.25, "second": 0.25}
    first.learning_rate = 0.5
    assert _rates(model) == {"first": 0.5, "second": 0.25}


def test_a_dictionary_by_phase():
    adam = Adam(0.125)
    model = _compiled({"second": adam, "first": "sgd"})
    assert isinstance(model.optimizer.by_phase["first"], SGD)
    assert model.optimizer.by_phase["second"] is adam


def test_auto_asks_the_model():
    class Own(toy.Lines):
        def default_optimizer(self, phase):
            return SGD({"first": 0.5, "second": 0.25}[phase])

    model = Own()
    model.compile()
    assert _rates(model) == {"first": 0.5, "second": 0.25}


@pytest.mark.parametrize("optimizer", ["rmsprop", {"class_name": "RMSprop", "config": {"learning_rate": 0.01}}])
def test_names_and_configs_as_keras_takes_them(optimizer):
    model = _compiled(optimizer)
    assert [type(o).__name__ for o in model.optimizer.optimizers] == ["RMSprop", "RMSprop"]


@pytest.mark.parametrize("names", [["first"], ["first", "third"], ["first", "second", "third"]])
def test_wrong_phase_names(names):
    with pytest.raises(ValueError, match=r"this model's phases are \['first', 'second'\]; got optimizers for"):
        _compiled({name: "sgd" for name in names})


def test_one_optimizer_for_two_phases():
    sgd = SGD()
    phases = toy.Lines().phases()
    for policy in ("float32", "mixed_float16"):
        with pytest.raises(ValueError, match="each phase needs its own optimizer"):
            PhaseOptimizer.from_argument({"first": sgd, "second": sgd}, phases, Adam, policy)


@pytest.mark.parametrize("optimizers", [{}, "adam", None])
def test_not_a_dictionary(optimizers):
    with pytest.raises(ValueError, match="PhaseOptimizer: optimizers must be a dict"):
        PhaseOptimizer(optimizers)


def test_overlapping_variables():
    class Overlapping(toy.Lines):
        def phases(self):
            return [Phase(name, self.error, self.first.trainable_variables) for name in ("first", "second")]

    with pytest.raises(ValueError, match="belongs to the phases 'first' and 'second'"):
        Overlapping().compile("sgd")


# === What it does ===
@pytest.mark.backends
def test_each_phase_moves_by_its_own_optimizer():
    model = _compiled({"first": SGD(0.0), "second": SGD(0.125)})
    before = model.first.get_weights(), model.second.get_weights()
    x, y = toy.line_data()
    model.train_on_batch(x, y)
    np.testing.assert_array_equal(model.first.get_weights()[0], before[0][0])
    error = x @ before[1][0][:, 0] - y
    expected = before[1][0][:, 0] - 0.125 * np.mean(2 * error[:, None] * x, axis=0)
    np.testing.assert_allclose(model.second.get_weights()[0][:, 0], expected, rtol=1e-5, atol=1e-6)


def test_variables_are_all_state_once():
    model = _compiled({"first": SGD(momentum=0.9), "second": Adam()})
    ids = [id(v) for v in model.optimizer.variables]
    assert len(ids) == len(set(ids))
    inner = [v for o in model.optimizer.optimizers for v in o.variables]
    assert {id(v) for v in inner} < set(ids)
    assert id(model.optimizer.iterations) in ids


def test_what_makes_no_sense_for_the_whole_is_refused():
    optimizer = _compiled({"first": SGD(0.5), "second": SGD(0.25)}).optimizer
    with pytest.raises(AttributeError, match="a learning rate for each phase, now {'first': 0.5, 'second': 0.25}"):
        optimizer.learning_rate  # noqa: B018
    with pytest.raises(RuntimeError, match="apply the gradients of one phase"):
        optimizer.apply([])
    optimizer.learning_rate = 0.5
    assert [float(o.learning_rate) for o in optimizer.optimizers] == [0.5, 0.5]
    assert float(optimizer.learning_rate) == 0.5
    # Not one phase's variable, which would set that phase alone.
    assert not hasattr(optimizer.learning_rate, "assign")


@pytest.mark.backends
def test_config_round_trip():
    optimizer = PhaseOptimizer({"second": Adam(0.125, beta_1=0.5), "first": SGD(0.25)}, name="both")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(optimizer))
    assert isinstance(again, PhaseOptimizer) and again.name == "both"
    assert list(again.by_phase) == ["second", "first"]
    assert again.by_phase["second"].beta_1 == 0.5
    assert again.get_config() == optimizer.get_config()
    model = _compiled(again)
    assert _rates(model) == {"second": 0.125, "first": 0.25}


def test_losses_are_scaled_under_float16_alone():
    optimizers = {}
    for policy in ("float32", "mixed_float16", "mixed_bfloat16"):
        model = toy.Lines(dtype=policy)
        model.compile("sgd")
        optimizers[policy] = model.optimizer.by_phase["first"]
    assert isinstance(optimizers["float32"], SGD) and isinstance(optimizers["mixed_bfloat16"], SGD)
    assert float(optimizers["mixed_float16"].dynamic_scale) == 2.0**15
    own = keras.optimizers.LossScaleOptimizer(SGD(), initial_scale=8.0)
    model = toy.Lines(dtype="mixed_float16")
    model.compile({"first": own, "second": "sgd"})
    assert model.optimizer.by_phase["first"] is own
    # However optimizers are given.
    model.compile(given := PhaseOptimizer({"first": SGD(), "second": "sgd"}))
    assert model.optimizer is given
    for name, optimizer in given.by_phase.items():
        assert isinstance(optimizer, keras.optimizers.LossScaleOptimizer) and optimizer.name == name


def test_the_optimizer_of_a_model_that_now_trains_more_begins_anew():
    model = toy.Lines()
    model.compile({"first": Adam(0.125), "second": SGD(0.25)})
    before = model.optimizer
    model.compile(before)
    assert model.optimizer is before
    # As after `frozen` of a classifier changed.
    phases = model.phases()
    phases[0] = Phase("first", phases[0].loss, [*phases[0].variables, keras.Variable([1.0])])
    after = PhaseOptimizer.from_argument(before, phases, None, "float32")
    assert after is not before and after.by_phase["first"].learning_rate == 0.125
    assert after.trains(phases) and not before.trains(phases)


# === Keras' callbacks ===
several_rates = pytest.mark.skipif(
    tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13),
    reason="the learning-rate callbacks of Keras 3.12 know one rate a model",
)


@pytest.mark.backends
@several_rates
def test_learning_rate_scheduler_reaches_every_phase():
    model = _compiled({"first": SGD(0.5), "second": SGD(0.25)})
    callback = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    history = models.fit(model, toy.line_data(), 10, 2, callbacks=[callback])
    assert _rates(model) == {"first": 0.125, "second": 0.0625}
    assert history.history["learning_rate_first"] == [0.25, 0.125]
    assert history.history["learning_rate_second"] == [0.125, 0.0625]


@several_rates
def test_reduce_on_plateau_reaches_every_phase():
    model = _compiled({"first": SGD(0.5), "second": SGD(0.25)})
    callback = keras.callbacks.ReduceLROnPlateau(
        monitor="first_loss", mode="min", factor=0.5, patience=1, min_delta=1e9
    )
    models.fit(model, toy.line_data(), 10, 2, callbacks=[callback])
    assert _rates(model) == {"first": 0.25, "second": 0.125}


@pytest.mark.backends
def test_one_rate_for_all_phases_can_be_scheduled_by_any_keras():
    model = _compiled(SGD(0.5))
    models.fit(
        model, toy.line_data(), 10, 2, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)]
    )
    assert _rates(model) == {"first": 0.125, "second": 0.125}


def test_schedules_count_the_steps_of_their_phase():
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([3], [0.5, 0.125])
    model = _compiled(SGD(schedule))
    models.fit(model, toy.line_data(), 10, 2)
    assert _rates(model) == {"first": 0.125, "second": 0.125}


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="needs TensorBoard")
def test_tensorboard(tmp_path):
    model = _compiled("sgd")
    models.fit(model, toy.line_data(), 10, 1, callbacks=[keras.callbacks.TensorBoard(tmp_path)])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*tfevents*"))
    for name in (b"epoch_first_loss", b"epoch_second_loss", b"epoch_learning_rate_first"):
        assert name in written


@pytest.mark.backends
def test_average_of_the_optimizer_is_taken_at_the_end():
    model = _compiled({"first": SGD(0.125, use_ema=True, ema_momentum=0.5), "second": SGD(0.125)})
    twin = _compiled(SGD(0.125))
    twin.set_weights(model.get_weights())
    steps = [twin.first.get_weights()[0]]

    class Keep(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            steps.append(self.model.first.get_weights()[0])

    models.fit(twin, toy.line_data(), 20, 3, callbacks=[Keep()])
    models.fit(model, toy.line_data(), 20, 3)
    # Keras begins the average at the first step's result.
    expected = 0.5 * (0.5 * steps[1] + 0.5 * steps[2]) + 0.5 * steps[3]
    np.testing.assert_allclose(model.first.get_weights()[0], expected, rtol=1e-5)
    np.testing.assert_allclose(model.second.get_weights()[0], twin.second.get_weights()[0], rtol=1e-5)


# === Memory ===
@pytest.mark.backends
def test_steps_that_are_accumulated_are_one_step_of_a_larger_batch():
    one, two = models.make(toy.Lines), models.make(toy.Lines)
    one.compile(keras.optimizers.Adam(0.1))
    two.compile(keras.optimizers.Adam(0.1, gradient_accumulation_steps=2))
    data = toy.line_data(32)
    models.fit(one, data, 8, 3)
    models.fit(two, data, 4, 3)
    assert int(two.optimizer.iterations) == 2 * int(one.optimizer.iterations) == 24
    for weight, expected in zip(two.get_weights(), one.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-6)
