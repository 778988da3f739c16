"""What every `PhasedModel` owes, written once: agreement of backends, resuming, replicas, mixed precision, evaluation.

Each check takes a factory of a compiled model, as an importable function or its name `"module:function"`, and `data`:
what `fit` is given, an array, a dict of arrays, or a tuple `(x, y)`. Most of them work in other processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import os
import shutil
import signal
from pathlib import Path

import keras
import numpy as np
import pytest

from kgen.callbacks import Backup
from tests.checks.processes import in_new_process, in_worker, name_of, replicas, resolve

# Of each contract there is a test that always runs for the toy model, a GAN and a TextToImage. The tests of the other
# models repeat it for what they add, in CI only.
in_ci = pytest.mark.slow


# === Models ===
def make(make_model, seed=0):
    """A model as its factory makes it from a given random state."""
    keras.utils.set_random_seed(seed)
    return resolve(make_model)()


def fit(model, data, batch_size, epochs, **kwargs):
    """`model.fit` with the data in their order; the history."""
    inputs = data if isinstance(data, tuple) else (data,)
    return model.fit(*inputs, batch_size=batch_size, epochs=epochs, shuffle=False, verbose=0, **kwargs)


def state(model, without=()):
    """All state of a model and its optimizer as a list of `(path, array)`: weights, averages, seeds, slots, counts."""
    left_out = {id(v) for v in without}
    variables = [v for v in [*model.variables, *model.optimizer.variables] if id(v) not in left_out]
    return [(v.path, keras.ops.convert_to_numpy(v)) for v in variables]


def assert_same_state(expected, actual):
    """Two results of `state` are the same to the bit."""
    assert len(expected) == len(actual)
    for (path, a), (_, b) in zip(expected, actual):
        assert a.dtype == b.dtype, path
        np.testing.assert_array_equal(a, b, err_msg=path)


def _distance(xs, ys):
    return max(np.max(np.abs(np.float64(x) - np.float64(y)), initial=0.0) for x, y in zip(xs, ys))


# === (a) Backends ===
def check_backends_agree(make_model, data, batch_size=8, epochs=2, tolerance=1e-5):
    """TensorFlow, JAX and torch reach the same weights and logs from the same weights, in 10 steps or more.

    The model must draw no random numbers. Skips where fewer than two backends are installed.
    """
    backends = [name for name in ("tensorflow", "jax", "torch") if importlib.util.find_spec(name)]
    if len(backends) < 2:
        pytest.skip(f"needs two backends; found {backends}")
    initial = make(make_model).get_weights()
    results = {
        name: in_worker(_train, name_of(make_model), initial, data, batch_size, epochs, backend=name)
        for name in backends
    }
    weights, logs, steps = results[backends[0]]
    assert steps >= 10, f"{steps} steps are too few to tell"
    assert _distance(initial, weights) > 1000 * tolerance, "the weights hardly moved: nothing was checked"
    for name in backends[1:]:
        other_weights, other_logs, _ = results[name]
        assert sorted(logs) == sorted(other_logs)
        assert _distance(weights, other_weights) < tolerance, f"{name} is not {backends[0]}"
        for key, values in logs.items():
            np.testing.assert_allclose(other_logs[key], values, rtol=tolerance, atol=tolerance, err_msg=key)


def _train(make_model, initial, data, batch_size, epochs):
    model = make(make_model, seed=1)
    model.set_weights(initial)
    history = fit(model, data, batch_size, epochs)
    return model.get_weights(), history.history, int(model.optimizer.iterations)


# === (b) Resuming ===
def check_resume(make_model, data, directory, batch_size=8):
    """Training 4 epochs is, to the bit, training 2 and 2 in a new process, or going on where one was killed.

    What a kill leaves is a copy of the backup at that moment; `check_survival` kills.

    Args:
        make_model: the factory; dropout, batch statistics, noise, moving averages are welcome.
        data: what `fit` is given.
        directory: an empty one for the files.
        batch_size: such that an epoch has at least two batches.
    """
    arguments = (name_of(make_model), data, str(directory), batch_size)
    initial, expected, kept = in_worker(_train_undisturbed, *arguments)
    loaded, restored, steps = in_new_process(_train_on, *arguments)
    each = max(epoch_and_step[1] for epoch_and_step in steps) + 1
    # With the last step of an epoch no backup is due before the epoch has ended.
    done = min(2, each - 1)
    assert steps == [(2, i) for i in range(done, each)] + [(3, i) for i in range(each)]
    assert any(np.any(a != b) for (_, a), (_, b) in zip(initial, expected)), "training changed nothing"
    assert_same_state(expected, loaded)
    assert_same_state(kept, restored)


def _train_undisturbed(make_model, data, directory, batch_size):
    model, file = make(make_model), Path(directory, "model.keras")
    initial = state(model)
    save = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 1 and model.save(file))
    fit(model, data, batch_size, epochs=4, callbacks=[save])
    # With a backup Keras knows less of the batches' shapes, and TensorFlow may round in another way.
    kept, backup = make(make_model), Path(directory, "backup")
    copy = At(lambda: shutil.copytree(backup, Path(directory, "left")), (2, 1))
    fit(kept, data, batch_size, epochs=4, callbacks=[Backup(backup, save_freq=1), copy])
    return initial, state(model), state(kept)


class At(keras.callbacks.Callback):
    """Keeps the places `(epoch, batch)` of a training's steps, and calls a function after that of one place."""

    def __init__(self, function=None, place=None):
        super().__init__()
        self.function = function
        self.place = place
        self.steps = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append((self.epoch, batch))
        if self.steps[-1] == self.place:
            self.function()


def _train_on(make_model, data, directory, batch_size):
    # Other weights and seeds than the first process began with: what is equal in the end was in the files.
    other = make(make_model, seed=1)
    steps = At()
    fit(other, data, batch_size, epochs=4, callbacks=[Backup(Path(directory, "left")), steps])
    keras.utils.set_random_seed(2)
    model = keras.saving.load_model(Path(directory, "model.keras"))
    fit(model, data, batch_size, epochs=4, initial_epoch=2)
    return state(model), state(other), steps.steps


def check_survival(make_model, data, directory, batch_size=8, kills=3):
    """A training that is killed over and over, also while a backup is written, is the undisturbed one, to the bit.

    The first kill is one of the process; the others are exceptions that nothing catches, which cost less.

    Args:
        make_model: the factory; everything random is welcome. Of the data it may be given shuffled arrays.
        data: what `fit` is given.
        directory: an empty one for the files.
        batch_size: such that an epoch has at least three batches.
        kills: how often it is killed at a random step, or in the write of the backup after it.
    """
    arguments = (name_of(make_model), data, str(directory), batch_size)
    in_worker(_killed_in_a_write, *arguments, killed=True)
    expected, actual, whole, attempts = in_worker(_survive, *arguments, kills)
    assert_same_state(expected, actual)
    assert len(attempts) == kills + 1
    for steps in attempts:
        first = whole.index(steps[0])
        assert steps == whole[first : first + len(steps)]
    assert attempts[0][0] == (0, 2), "the backup before the one that was killed was lost"
    assert attempts[-1][-1] == whole[-1]


class Killed(BaseException):
    """What nothing catches."""


def _train_shuffled(make_model, data, batch_size, backup, at=None):
    model = make(make_model)
    at = at or At()
    inputs = data if isinstance(data, tuple) else (data,)
    with contextlib.suppress(Killed):
        model.fit(*inputs, batch_size=batch_size, epochs=3, verbose=0, callbacks=[at, backup])
    return model, at.steps


@contextlib.contextmanager
def _write_ends_in(death):
    """A scope in which a backup dies when half of it is written."""

    def half(stream, **arrays):
        stream.write(b"half of it")
        stream.flush()
        death()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("numpy.savez", half)
        yield


def _killed_in_a_write(make_model, data, directory, batch_size):
    death = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731

    class Deadly(Backup):
        def _write(self, epoch, step, ended=False):
            with _write_ends_in(death) if step == 3 or epoch else contextlib.nullcontext():
                super()._write(epoch, step, ended)

    _train_shuffled(make_model, data, batch_size, Deadly(Path(directory, "backup"), save_freq=1))


def _survive(make_model, data, directory, batch_size, kills):
    model, whole = _train_shuffled(make_model, data, batch_size, Backup(Path(directory, "whole")))
    expected, attempts, random = state(model), [], np.random.default_rng(0)

    def death():
        raise Killed

    for number in range(kills):
        backup = Backup(Path(directory, "backup"), save_freq=("epoch", 1, 2)[number % 3])
        done = whole.index(attempts[-1][-1]) if attempts else 2
        at = At(death, whole[random.integers(done, (done + 1 + len(whole)) // 2)])
        with _write_ends_in(death) if number == 1 else contextlib.nullcontext():
            attempts.append(_train_shuffled(make_model, data, batch_size, backup, at)[1])
    model, steps = _train_shuffled(make_model, data, batch_size, Backup(Path(directory, "backup")))
    return expected, state(model), whole, [*attempts, steps]


# === (c) Replicas ===
def check_replicas(make_model, data, batch_size=8, epochs=2, tolerance=1e-6, count=2):
    """Replicas with a share each of every batch reach what one device reaches with all of it.

    The model must draw no random numbers and be compiled with `SGD`: Adam would hide a wrong scale of the gradients.
    The last batch should have fewer rows than there are replicas, so that shares differ and one is empty.
    """
    optimizers, before, (one, one_logs), (two, two_logs) = in_worker(
        _train_replicas, name_of(make_model), data, batch_size, epochs, count, backend="tensorflow"
    )
    assert set(optimizers) == {"SGD"}
    for phase, old in before.items():
        update = _norm(a - b for a, b in zip(one[phase], old))
        error = _norm(a - b for a, b in zip(one[phase], two[phase])) / update
        assert update > 0.05 or phase == "", f"{phase} hardly moved: nothing was checked"
        assert error < tolerance, f"{phase}: {count} replicas are off by {error:.1e} of the update"
    for i, (old, a, b) in enumerate(zip(before[""], one[""], two[""])):
        # Rounding is all the movement of a weight that the loss does not depend on.
        assert _norm([a - b]) <= tolerance * (10 * _norm([a - old]) + _norm([a])), f"weight {i} differs"
    for name in one_logs:
        np.testing.assert_allclose(two_logs[name], one_logs[name], rtol=1e-5, atol=1e-6, err_msg=name)


def _norm(arrays):
    return np.linalg.norm(np.concatenate([np.ravel(a) for a in arrays]))


def _train_replicas(make_model, data, batch_size, epochs, count):
    strategy = replicas(count)
    one = make(make_model)
    with strategy.scope():
        two = make(make_model, seed=1)
    two.set_weights(one.get_weights())
    before = _by_phase(one)
    results = []
    for model in (one, two):
        history = fit(model, data, batch_size, epochs)
        results.append((_by_phase(model), history.history))
    return [type(o).__name__ for o in two.optimizer.optimizers], before, *results


def _by_phase(model):
    """The weights that each phase trains, and under the name `""` all weights."""
    weights = {phase.name: [keras.ops.convert_to_numpy(v) for v in phase.variables] for phase in model.phases()}
    return {**weights, "": model.get_weights()}


# === (d) Mixed precision ===
def check_mixed_precision(make_model, data, policy, batch_size=8, steps=20):
    """Training stays finite under `policy`; a bad step of one phase is skipped for that phase alone.

    The factory is called under the global dtype policy `policy` and must take its dtype from there.
    """
    with _dtype_policy(policy):
        model = make(make_model)
    rows = len(keras.tree.flatten(data)[0])
    epochs = -(-steps // -(-rows // batch_size))
    history = fit(model, data, batch_size, epochs)
    assert int(model.optimizer.iterations) >= steps
    for path, value in state(model):
        assert np.all(np.isfinite(np.float32(value))), path
    for name, values in history.history.items():
        assert np.all(np.isfinite(values)), name
    for name, optimizer in model.optimizer.by_phase.items():
        assert int(optimizer.iterations) >= int(model.optimizer.iterations) // 4, f"{name}: most steps were skipped"

    batch = keras.tree.map_structure(lambda x: x[:batch_size], data)
    batch = batch if isinstance(batch, tuple) else (batch,)
    phases = model.phases()
    for bad in phases:
        # Both are due in the first step.
        model.optimizer.iterations.assign(0)
        before = {phase.name: _phase_state(model, phase) for phase in phases}
        model.phases = lambda bad=bad: [_poisoned(phase) if phase.name == bad.name else phase for phase in phases]
        model.make_train_function(force=True)
        with pytest.raises(FloatingPointError, match=f"in training step 1 the loss of phase '{bad.name}'"):
            model.train_on_batch(*batch)
        for phase in phases:
            weights, count, scale = before[phase.name]
            new_weights, new_count, new_scale = _phase_state(model, phase)
            if phase.name == bad.name:
                assert _distance(weights, new_weights) == 0.0, f"{phase.name} made a step with bad gradients"
                assert (new_count, new_scale) == (count, scale and scale / 2)
            else:
                assert _distance(weights, new_weights) > 0.0, f"{phase.name} did not move beside a bad {bad.name}"
                assert (new_count, new_scale) == (count + 1, scale)


@contextlib.contextmanager
def _dtype_policy(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _phase_state(model, phase):
    optimizer = model.optimizer.by_phase[phase.name]
    weights = [keras.ops.convert_to_numpy(v) for v in phase.variables]
    # Only float16 needs one.
    scaled = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    scale = float(keras.ops.convert_to_numpy(optimizer.dynamic_scale)) if scaled else None
    return weights, int(optimizer.iterations), scale


def _poisoned(phase):
    def loss(batch, training):
        return keras.tree.map_structure(lambda value: value * float("inf"), phase.loss(batch, training))

    return dataclasses.replace(phase, loss=loss)


# === (e) Evaluation ===
def check_evaluation(make_model, data, batch_size=8):
    """Training with validation in between is training without, to the bit."""
    states = []
    for validation in ({}, {"validation_data": data if isinstance(data, tuple) else (data,)}):
        model = make(make_model)
        history = fit(model, data, batch_size, epochs=2, **validation)
        states.append(state(model, without=[model.evaluation_seeds.state]))
    assert any(name.startswith("val_") for name in history.history)
    assert_same_state(*states)
