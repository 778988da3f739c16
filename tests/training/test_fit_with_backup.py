import contextlib
import warnings

import keras
import numpy as np
import pytest

from kgen.callbacks import Backup
from tests.checks import models
from tests.training import toy

X, Y = toy.line_data()


def lines(**kwargs):
    model = toy.Lines()
    model.compile(keras.optimizers.SGD(0.1), **(kwargs or {"run_eagerly": True}))
    return model


def fit(directory, place=None, save_freq=2, make_model=lines, data=lambda: (X, Y), epochs=3, callbacks=(), **kwargs):
    """`(model, history, steps)` of a training that dies after the step of a place."""

    def death():
        raise models.Killed

    model, at = models.make(make_model), models.At(death, place)
    with contextlib.suppress(models.Killed):
        model.fit(
            *data(),
            epochs=epochs,
            verbose=0,
            callbacks=[*callbacks, Backup(directory, save_freq=save_freq), at],
            **kwargs,
        )
    return model, model.history, at.steps


def check_goes_on(directory, place, begins, **kwargs):
    """A run that dies at a place goes on where its backup says, and ends like the one that did not die."""
    model, history, whole = fit(directory / "whole", **kwargs)
    fit(directory / "run", place, **kwargs)
    again, later, steps = fit(directory / "run", **kwargs)
    assert steps == whole[whole.index(begins) :]
    models.assert_same_state(models.state(model), models.state(again))
    for name, values in history.history.items():
        np.testing.assert_array_equal(later.history[name], values[-len(later.history[name]) :], err_msg=name)
    assert later.epoch == list(range(begins[0], 3))


# === Where it goes on ===
@pytest.mark.backends
@pytest.mark.parametrize("place, begins", [((0, 1), (0, 2)), ((1, 2), (1, 2)), ((2, 3), (2, 2))])
def test_at_the_step_of_the_last_backup(tmp_path, place, begins):
    check_goes_on(tmp_path, place, begins, batch_size=5)


@pytest.mark.parametrize(
    "save_freq, place, begins",
    [("epoch", (1, 3), (1, 0)), (3, (1, 0), (0, 3)), (4, (1, 0), (1, 0)), (7, (2, 3), (1, 3)), (100, (2, 3), (0, 0))],
)
def test_how_often(tmp_path, save_freq, place, begins):
    check_goes_on(tmp_path, place, begins, save_freq=save_freq, batch_size=5)


@pytest.mark.backends
@pytest.mark.skipif(keras.backend.backend() == "torch", reason="Keras on torch makes one step at a time")
def test_several_steps_in_an_execution(tmp_path):
    # An epoch has 7 steps: executions of 3, 3 and 1.
    make_model = lambda: lines(steps_per_execution=3)  # noqa: E731
    check_goes_on(tmp_path, (1, 5), (1, 8), save_freq=1, batch_size=3, make_model=make_model)


@pytest.mark.backends
def test_validation_and_weights(tmp_path):
    check_goes_on(tmp_path, (1, 1), (1, 2), save_freq=1, batch_size=5, validation_split=0.3)
    validated = {"validation_data": (X[:7], Y[:7]), "validation_freq": 2, "shuffle": False}
    check_goes_on(tmp_path / "data", (1, 1), (1, 2), save_freq=1, batch_size=5, **validated)


def test_averaged_weights_take_their_place_at_the_end_alone(tmp_path):
    def averaging():
        model = toy.Lines()
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), run_eagerly=True)
        return model

    check_goes_on(tmp_path, (1, 2), (1, 2), batch_size=5, make_model=averaging)


def test_averaged_weights_of_a_training_that_is_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = epoch == 1

    def averaging():
        model = toy.Lines()
        model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), run_eagerly=True)
        return model

    options = {"batch_size": 5, "make_model": averaging}
    expected, _, _ = fit(tmp_path / "whole", callbacks=[Stop()], **options)
    fit(tmp_path / "run", (1, 2), callbacks=[Stop()], **options)
    model, _, steps = fit(tmp_path / "run", callbacks=[Stop()], **options)
    assert steps == [(1, 2), (1, 3)]
    models.assert_same_state(models.state(expected), models.state(model))


def test_callbacks_see_one_training(tmp_path):
    class Counts(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.calls = []

        def on_train_begin(self, logs=None):
            self.calls.append("begin")

        def on_train_batch_begin(self, batch, logs=None):
            self.calls.append(batch)

        def on_train_end(self, logs=None):
            self.calls.append("end")

    fit(tmp_path, (0, 2), batch_size=5, epochs=2)
    counts = Counts()
    fit(tmp_path, batch_size=5, epochs=2, callbacks=[counts])
    assert counts.calls == ["begin", 2, 3, 0, 1, 2, 3, "end"]


def scaled():
    """As under mixed_float16."""
    model = toy.Lines()
    model.compile(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)), run_eagerly=True)
    return model


@pytest.mark.parametrize("make_model", [lines, scaled])
def test_a_schedule_that_reads_the_last_rate_is_not_applied_twice(tmp_path, make_model):
    def halving():
        return [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)]

    options = {"batch_size": 5, "make_model": make_model}
    model, history, _ = fit(tmp_path / "whole", callbacks=halving(), **options)
    fit(tmp_path / "run", (1, 2), callbacks=halving(), **options)
    again, later, _ = fit(tmp_path / "run", callbacks=halving(), **options)
    models.assert_same_state(models.state(model), models.state(again))
    assert later.history["loss"] == history.history["loss"][1:]


def test_a_negative_seed(tmp_path):
    def negative():
        model = toy.Lines(seed=-5)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        return model

    assert fit(tmp_path, make_model=negative, batch_size=5)[1].epoch == [0, 1, 2]


# === Data ===
class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return X[index::4], Y[index::4]


def rows():
    return ((X[i % 4 :: 4], Y[i % 4 :: 4]) for i in range(100))


@pytest.mark.backends
@pytest.mark.parametrize("data, options", [(lambda: (Batches(),), {}), (lambda: (rows(),), {"steps_per_epoch": 4})])
def test_data_in_batches(tmp_path, data, options):
    check_goes_on(tmp_path, (1, 2), (1, 2), data=data, **options)


@pytest.mark.parametrize("options", [{}, {"steps_per_epoch": 3}])
def test_datasets(tmp_path, tensorflow_backend, options):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    data = lambda: (dataset.repeat() if options else dataset,)  # noqa: E731
    check_goes_on(tmp_path, (1, 1), (1, 2), save_freq=1, data=data, **options)


def test_data_that_are_never_the_same(tmp_path, tensorflow_backend):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(20).batch(5)
    with pytest.warns(UserWarning, match="Lines.fit: the first batch of the data differs each time they are read."):
        fit(tmp_path / "a", data=lambda: (dataset,))
    kept = tf.data.Dataset.from_tensor_slices((X, Y)).shuffle(20, seed=1, reshuffle_each_iteration=False).batch(5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        fit(tmp_path / "b", data=lambda: (kept,))


def test_other_data_than_before(tmp_path):
    fit(tmp_path, (1, 2), batch_size=5)
    with pytest.raises(ValueError, match="is from data with 4 steps per epoch; these have 2. Give the same data and"):
        fit(tmp_path, batch_size=10)
    with pytest.warns(UserWarning, match="the first batch of the data is not the one recorded in .*backup.npz"):
        fit(tmp_path, batch_size=5, data=lambda: (X + 1, Y))


def test_the_order_of_a_model_without_a_seed_is_kept(tmp_path):
    def unseeded():
        model = toy.Lines(seed=None)
        model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        return model

    model, _, _ = fit(tmp_path / "whole", batch_size=5, make_model=unseeded)
    fit(tmp_path / "run", (1, 2), batch_size=5, make_model=unseeded)
    # As another process would draw.
    again = models.make(unseeded, seed=1)
    again.fit(X, Y, batch_size=5, epochs=3, verbose=0, callbacks=[Backup(tmp_path / "run")])
    models.assert_same_state(models.state(model), models.state(again))


# === Errors ===
def test_what_cannot_go_on(tmp_path):
    model = lines()
    with pytest.raises(ValueError, match="callbacks must contain at most one; got two"):
        model.fit(X, Y, callbacks=[Backup(tmp_path / "a"), Backup(tmp_path / "b")])
    with pytest.raises(ValueError, match="the length of an epoch of a generator is unknown; give steps_per_epoch"):
        model.fit(rows(), callbacks=[Backup(tmp_path)])
    with pytest.raises(ValueError, match="validation_split=0.99 of 20 images leaves one side empty"):
        model.fit(X, Y, validation_split=0.99, callbacks=[Backup(tmp_path)])
    with pytest.raises(ValueError, match="validation_split needs arrays; give validation_data"):
        model.fit(Batches(), validation_split=0.5, callbacks=[Backup(tmp_path)])


def test_an_epoch_of_unknown_length(tmp_path, tensorflow_backend):
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5).filter(lambda x, y: True)
    with pytest.raises(ValueError, match="the number of steps .* is due every 2 steps. Give steps_per_epoch"):
        fit(tmp_path, data=lambda: (dataset,))
    check_goes_on(tmp_path, (1, 1), (1, 0), save_freq="epoch", data=lambda: (dataset,))
