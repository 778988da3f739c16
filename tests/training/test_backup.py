import json
import os

import keras
import pytest

from kgen.callbacks import Backup
from tests.checks import models
from tests.training import toy


def lines():
    model = toy.Lines()
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    return model


def fit(*callbacks, make_model=lines, rows=20, **kwargs):
    model = models.make(make_model)
    model.fit(*toy.line_data(rows), batch_size=5, epochs=3, verbose=0, callbacks=list(callbacks), **kwargs)
    return model


def killed(directory, place=(1, 2), **kwargs):
    def death():
        raise models.Killed

    with pytest.raises(models.Killed):
        fit(Backup(directory, **kwargs), models.At(death, place))


# === Survival ===
@pytest.mark.backends
def test_survival(tmp_path):
    models.check_survival(toy.noisy_eager, toy.points(27), tmp_path, kills=2)


# === The directory ===
def test_the_same_run_goes_on(tmp_path):
    run = {"data": "emoji", "shape": (8, 8)}
    killed(tmp_path, run=run, save_freq=3)
    assert sorted(os.listdir(tmp_path)) == ["backup.npz", "run.json"]
    steps = models.At()
    resumed = fit(Backup(tmp_path, run), steps)
    assert steps.steps == [(1, 2), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)]
    whole = fit(Backup(tmp_path / "whole", run))
    models.assert_same_state(models.state(whole), models.state(resumed))
    assert json.loads((tmp_path / "run.json").read_text()) == {"data": "emoji", "shape": [8, 8]}
    assert not (tmp_path / "backup.npz").exists()


def test_another_run_is_refused(tmp_path):
    Backup(tmp_path / "a", {"data": "emoji", "steps": 1584})
    with pytest.raises(FileExistsError, match=r"a' is from a run with {'data': 'emoji'}, not {'data': 'my_pictures'}"):
        Backup(tmp_path / "a", {"data": "my_pictures", "steps": 1584})
    with pytest.raises(FileExistsError, match=r"with {'steps': 1584}, not {'steps': None}. Give another directory, or"):
        Backup(tmp_path / "a", {"data": "emoji"})
    with pytest.raises(FileExistsError, match="is from a run with"):
        Backup(tmp_path / "a")
    killed(tmp_path / "b")
    with pytest.raises(FileExistsError, match="it is unknown which run wrote .*backup.npz"):
        Backup(tmp_path / "b", {"data": "emoji"})
    with pytest.raises(ValueError, match="save_freq must be an integer of at least 1; got 0"):
        Backup(tmp_path, save_freq=0)


def test_what_is_kept_leaves_nothing_to_train(tmp_path):
    backup = Backup(tmp_path, keep=True)
    model = fit(backup)
    again, steps = Backup(tmp_path, keep=True), models.At()
    models.assert_same_state(models.state(model), models.state(fit(again, steps)))
    assert steps.steps == []
    (tmp_path / "backup.1.partial.npz").touch()
    again.delete()
    assert os.listdir(tmp_path) == []


def test_what_was_stopped_stays_stopped(tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    fit(Stop(), Backup(tmp_path, keep=True))
    steps = models.At()
    fit(Backup(tmp_path, keep=True), steps)
    assert steps.steps == []


# === What cannot be ===
def test_a_backup_that_cannot_be_written_leaves_the_older_one(tmp_path, monkeypatch):
    killed(tmp_path)
    before = (tmp_path / "backup.npz").read_bytes()

    def full(stream, **arrays):
        stream.write(b"some of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as context:
        context.setattr("numpy.savez", full)
        with pytest.raises(
            OSError,
            match=r"backup.npz cannot be written \(No space left on device\). An older backup is left unchanged",
        ):
            fit(Backup(tmp_path))
    assert os.listdir(tmp_path) == ["backup.npz"]
    assert (tmp_path / "backup.npz").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"Backup: .*run.json cannot be written \(Not a directory\)"):
        Backup(tmp_path / "file" / "run", {})


def test_a_damaged_backup_and_one_of_another_model(tmp_path):
    killed(tmp_path)
    with pytest.raises(ValueError, match="is from another model, with .* variables; this one has"):
        fit(Backup(tmp_path), make_model=toy.quiet)
    (tmp_path / "backup.npz").write_bytes((tmp_path / "backup.npz").read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"backup.npz is damaged \(.*\). Delete it to start again."):
        fit(Backup(tmp_path))


def test_a_model_of_keras_alone(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(ValueError, match="callbacks of fit of a kgen model.*BackupAndRestore"):
        model.fit(*toy.line_data(), verbose=0, callbacks=[Backup(tmp_path)])


# === Precision ===
@pytest.mark.backends
def test_weights_in_bfloat16(tmp_path):
    def make_model():
        keras.config.set_dtype_policy("bfloat16")
        try:
            return lines()
        finally:
            keras.config.set_dtype_policy("float32")

    backup = Backup(tmp_path, keep=True)
    model = fit(backup, make_model=make_model)
    assert model.first.weights[0].dtype == "bfloat16"
    other = models.make(make_model, seed=1)
    Backup(tmp_path).restore(other)
    models.assert_same_state(models.state(model), models.state(other))
