"""A training that was killed at any moment goes on at the step of its last backup."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.files import PARTIAL, whole_file, write_whole

_NAME = "backup"
_ADVICE = "Give another directory, or delete this one to begin anew."


class Backup(keras.callbacks.Callback):
    """Keeps all that a training needs to go on; `fit` of a kgen model goes on from it when it is started again.

    One file has the weights, averages, random seeds, optimizers, the metrics of the epoch so far, and the place in the
    data. It is written beside and renamed, so a kill at any moment leaves a whole one. A run that goes on makes exactly
    the steps that are left, and ends as if nothing had happened, to the bit; the logs of its first epoch are those of
    the whole epoch. `keras.callbacks.BackupAndRestore` begins an epoch again from the weights of its middle, and its
    two files may not belong together. (To the bit beside a run with a `Backup` too: without one Keras may know more of
    the shapes of batches, and TensorFlow then rounds some convolutions in another way.)

    With it, `fit` shuffles arrays by the model's seed and the number of the epoch. Other data have to give the same
    batches in each process: a `tf.data.Dataset` without `shuffle`, or with a seed and
    `reshuffle_each_iteration=False`; a `keras.utils.PyDataset` whose hooks draw from a seed; a seeded generator, whose
    batches are drawn and left out up to the place. A warning says where batches are seen to differ. The dataset of
    `CaptionedImages.as_dataset` goes on rightly in a model of captions.

    It keeps the model and the data alone. What other callbacks have counted begins anew, such as the patience of
    `EarlyStopping` and `ReduceLROnPlateau`, and the history has the epochs since. A learning rate is kept.

    Args:
        directory: for `backup.npz` and `run.json`; it is created. One process writes to it.
        run: dict of all that makes a run what it is: its data, sizes, steps, seed; strings, numbers, lists, dicts. It
            is written to `run.json` before training begins, and a directory of another run is refused. The file stays
            when training has ended: the results beside it are that run's. None: any run goes on.
        save_freq: "epoch", or every so many steps, counted from the beginning; with the last step of an epoch, the
            backup follows when the epoch has ended.
        keep: whether the backup of the last step stays when training has ended. Started again, the run then has nothing
            left to train, and goes on with what comes after `fit`; call `delete` when that is done.

    Raises:
        FileExistsError: if the directory belongs to another run, or there is a backup of an unknown one.
        OSError: if a backup cannot be written; the one before it stays.
        ValueError: for another `save_freq`; from `fit`, for a backup of another model or of data with other batches.

    Example:

    ```python
    backup = kgen.callbacks.Backup("results", {"images": "my_images", "epochs": 50}, save_freq=500)
    model.fit(images, epochs=50, callbacks=[backup])
    ```
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        run: dict[str, Any] | None = None,
        save_freq: int | str = "epoch",
        keep: bool = False,
    ):
        super().__init__()
        self.directory = Path(directory).expanduser()
        self.file = self.directory / f"{_NAME}.npz"
        self.save_freq = save_freq if save_freq == "epoch" else checks.integer("Backup", "save_freq", save_freq)
        self.keep = keep
        self._claim(run)
        self._data: dict[str, Any] = {}
        self._metrics: list | None = None

    def _claim(self, run):
        """Makes the directory this run's; refuses another's."""
        known = self.directory / "run.json"
        # As it comes back from the file: with lists for tuples.
        run = None if run is None else json.loads(json.dumps(run))
        if known.exists():
            before, now = json.loads(known.read_text(encoding="utf-8")), run or {}
            others = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            if others:
                told, said = ({name: each.get(name) for name in others} for each in (before, now))
                raise FileExistsError(f"Backup: {str(self.directory)!r} is of a run with {told}, not {said}. {_ADVICE}")
        elif run is not None and self.file.exists():
            raise FileExistsError(f"Backup: nobody knows which run left {self.file}. {_ADVICE}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if run is not None:
                write_whole(known, json.dumps(run, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._unwritten(known, error) from error

    def delete(self) -> None:
        """Removes the backup; `run.json` stays."""
        self.file.unlink(missing_ok=True)
        # Of processes that were killed while they wrote.
        for partial in self.directory.glob(f"{_NAME}.*{PARTIAL}.npz"):
            partial.unlink(missing_ok=True)

    # === What fit asks for ===
    def restore(self, model: keras.Model) -> dict[str, Any] | None:
        """Gives a model the state of the backup.

        Returns:
            Its place, as it was given to `begin`, with `epoch` and `step`; None if there is no backup.

        Raises:
            ValueError: if it is damaged, or that of another model.
        """
        if not self.file.exists():
            return None
        try:
            with np.load(self.file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            place = json.loads(arrays["place"].tobytes())
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"Backup: {self.file} is damaged ({error}). Delete it to begin anew.") from error
        variables = _state(model)
        current = [(v, ops.convert_to_numpy(v)) for v in variables]
        saved = [arrays[f"state_{i}"] for i in range(place["variables"])]
        if [a.shape for a in saved] != [value.shape for _, value in current]:
            raise ValueError(
                f"Backup: {self.file} is of another model, with {len(saved)} variables; this one has {len(current)}, "
                f"or others in shape. {_ADVICE}"
            )
        for (variable, value), array in zip(current, saved):
            # NumPy knows no bfloat16, and gives its bytes.
            variable.assign(array.view(value.dtype))
        self._metrics = [arrays[f"metric_{i}"] for i in range(place["metrics"])] if place["step"] else None
        return place

    def begin(self, data: dict[str, Any], step: int) -> None:
        """Takes what is written with each place: `seed`, `steps` of an epoch, `first`, by which the data are known.

        Args:
            data: a dict of these.
            step: of the first epoch that is done.
        """
        self._data = data
        self._epoch, self._last = 0, step

    # === While training ===
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if not self._data:
            raise ValueError(
                "Backup: it goes into the list of callbacks of a kgen model's fit, which puts the data in their place; "
                "other models of Keras have keras.callbacks.BackupAndRestore."
            )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch
        variables = self.model.metrics_variables
        if self._metrics is not None and [a.shape for a in self._metrics] == [tuple(v.shape) for v in variables]:
            # Keras has just reset them.
            for variable, array in zip(variables, self._metrics):
                variable.assign(array)
        self._metrics = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        # What is due at the end of an epoch waits for it: by then it has been validated, and the next one can begin.
        if self.save_freq != "epoch" and batch + 1 < self._data["steps"] and self._due(batch + 1):
            self._write(self._epoch, batch + 1)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.save_freq == "epoch" or self._due(self._data["steps"]) or self.model.stop_training:
            self._write(epoch + 1, 0, ended=self.model.stop_training)
        self._last = 0

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        if self.keep:
            self._write(self.params["epochs"], 0, ended=self.model.stop_training)
        else:
            self.delete()
        self._data = {}

    def _due(self, step):
        """Whether a backup falls on the steps since this was last asked."""
        begun, done = (self._epoch * self._data["steps"] + each for each in (self._last, step))
        self._last = step
        return done // self.save_freq > begun // self.save_freq

    def _write(self, epoch, step, ended=False):
        model = self.model
        place = {**self._data, "epoch": epoch, "step": step, "ended": bool(ended)}
        state, metrics = ([ops.convert_to_numpy(v) for v in each] for each in (_state(model), model.metrics_variables))
        arrays = {f"state_{i}": array for i, array in enumerate(state)}
        arrays.update({f"metric_{i}": array for i, array in enumerate(metrics)})
        text = json.dumps({**place, "variables": len(state), "metrics": len(metrics)})
        try:
            with whole_file(self.file) as partial, open(partial, "wb") as stream:
                np.savez(stream, place=np.frombuffer(text.encode(), "uint8"), **arrays)
        except OSError as error:
            raise self._unwritten(self.file, error) from error

    @staticmethod
    def _unwritten(file, error):
        reason = error.strerror or error
        return type(error)(f"Backup: {file} cannot be written ({reason}). An older one stays, and is whole.")


def _state(model):
    """The variables that a step reads and writes, but for metrics."""
    left_out = {id(v) for v in model.metrics_variables}
    variables = {id(v): v for v in [*model.variables, *model.optimizer.variables]}
    return [v for i, v in variables.items() if i not in left_out]
