import json

import keras
import numpy as np
import pytest

from kgen.callbacks import RunBackup
from tests.models import tiny


class Killed(Exception):
    pass


class KillAfter(RunBackup):
    """Ends as a killed process does, after the backup of the first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        raise Killed


def fit(backup, epochs=2):
    keras.utils.set_random_seed(0)
    model = tiny.gan()
    model.compile()
    model.fit(tiny.pictures(16), batch_size=8, epochs=epochs, verbose=0, shuffle=False, callbacks=[backup])
    return model


def test_the_same_run_goes_on(tmp_path):
    run = {"data": "emoji", "shape": (8, 8)}
    with pytest.raises(Killed):
        fit(KillAfter(tmp_path, run))
    resumed = fit(RunBackup(tmp_path, run))
    assert int(resumed.optimizer.iterations) == 4
    whole = fit(RunBackup(tmp_path / "whole", run))
    np.testing.assert_array_equal(resumed.generate(2, seed=0), whole.generate(2, seed=0))
    assert json.loads((tmp_path / "run.json").read_text()) == {"data": "emoji", "shape": [8, 8]}
    assert not (tmp_path / "backup").exists()


def test_another_run_is_refused(tmp_path):
    RunBackup(tmp_path / "a", {"data": "emoji", "steps": 1584})
    with pytest.raises(FileExistsError, match=r"a' is of a run with {'data': 'emoji'}, not {'data': 'my_pictures'}"):
        RunBackup(tmp_path / "a", {"data": "my_pictures", "steps": 1584})
    with pytest.raises(FileExistsError, match=r"with {'steps': 1584}, not {'steps': None}. Give another directory, or"):
        RunBackup(tmp_path / "a", {"data": "emoji"})
    (tmp_path / "b" / "backup").mkdir(parents=True)
    with pytest.raises(FileExistsError, match="nobody knows which run left the backup in"):
        RunBackup(tmp_path / "b", {"data": "emoji"})
