"""Backups of a training: a run that was killed at any moment resumes at the step of its last backup."""

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
_ADVICE = "Give another directory, or delete this one to start again."


class Backup(keras.callbacks.Callback):
    """Saves all that a training needs to resume. When `fit` of a kgen model is called again, it resumes from there.

    One file has the weights, averages, random seeds, optimizers, the metrics of the epoch so far, and the position in
    the data. It is written under another name and then renamed, so a kill at any moment leaves a complete file. A
    resumed run makes exactly the remaining steps and ends bit-identical to an uninterrupted run with a `Backup`. The
    logs of its first epoch cover the whole epoch. (Without a `Backup` Keras may know more about the shapes of batches,
    and TensorFlow then rounds some convolutions differently.) `keras.callbacks.BackupAndRestore`, by contrast, restarts
    the epoch with the weights from its middle, and its two files may not belong together.

    With a `Backup`, `fit` shuffles arrays by the model's seed and the epoch number. Other data must give the same
    batches in each process: a `tf.data.Dataset` without `shuffle`, or with a seed and `reshuffle_each_iteration=False`;
    a `keras.utils.PyDataset` whose hooks draw from a seed; a seeded generator, whose batches are drawn and dropped up
    to the saved position. If the first batch differs, there is a warning. The dataset of `CaptionedImages.as_dataset`
    resumes correctly in a model with captions.

    Only the model, with its learning rates, and the position in the data are saved. Other callbacks start counting
    afresh, such as the patience of `EarlyStopping` and `ReduceLROnPlateau`, and the history starts at the resumed
    epoch.

    Args:
        directory: where `backup.npz` and `run.json` go; it is created. Only one process may write to it.
        run: dict that identifies the run: its data, sizes, steps, seed. Values are strings, numbers, lists, dicts. It
            is written to `run.json` before training begins, and a directory of another run is refused. The file stays
            after training, to tell which run the results next to it are from. None: any run resumes, in a directory
            without `run.json`.
        save_freq: "epoch", or a number of steps between backups, counted from the start of training. A backup that is
            due at the last step of an epoch is written when the epoch has ended.
        keep: whether the last backup stays when training has ended. If the script is started again, `fit` then has
            nothing left to train, and the script continues after it. Call `delete` when all is done.

    Raises:
        FileExistsError: if the directory belongs to another run, or has a backup of an unknown run.
        OSError: if a backup cannot be written; the previous one stays.
        ValueError: for any other `save_freq`; from `fit`, for a backup of another model or another number of batches.

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
        """Claims the directory for this run; refuses that of another run."""
        known = self.directory / "run.json"
        # As it will come back from the file: tuples become lists.
        run = None if run is None else json.loads(json.dumps(run))
        if known.exists():
            before, now = json.loads(known.read_text(encoding="utf-8")), run or {}
            others = [name for name in {**before, **now} if before.get(name) != now.get(name)]
            if others:
                told, said = ({name: each.get(name) for name in others} for each in (before, now))
                raise FileExistsError(
                    f"Backup: {str(self.directory)!r} is from a run with {told}, not {said}. {_ADVICE}"
                )
        elif run is not None and self.file.exists():
            raise FileExistsError(f"Backup: it is unknown which run wrote {self.file}. {_ADVICE}")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if run is not None:
                write_whole(known, json.dumps(run, indent=2, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._unwritten(known, error) from error

    def delete(self) -> None:
        """Removes the backup; `run.json` stays."""
        self.file.unlink(missing_ok=True)
        # Left by processes that were killed while writing.
        for partial in self.directory.glob(f"{_NAME}.*{PARTIAL}.npz"):
            partial.unlink(missing_ok=True)

    # === What fit asks for ===
    def restore(self, model: keras.Model) -> dict[str, Any] | None:
        """Loads the backup's state into a model.

        Returns:
            The dict that was given to `begin`, with `epoch` and `step` added; None if there is no backup.

        Raises:
            ValueError: if the backup is damaged, or is of another model.
        """
        if not self.file.exists():
            return None
        try:
            with np.load(self.file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            place = json.loads(arrays["place"].tobytes())
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"Backup: {self.file} is damaged ({error}). Delete it to start again.") from error
        variables = _state(model)
        current = [(v, ops.convert_to_numpy(v)) for v in variables]
        saved = [arrays[f"state_{i}"] for i in range(place["variables"])]
        if [a.shape for a in saved] != [value.shape for _, value in current]:
            raise ValueError(
                f"Backup: {self.file} is from another model, with {len(saved)} variables; this one has {len(current)}, "
                f"or they have other shapes. {_ADVICE}"
            )
        for (variable, value), array in zip(current, saved):
            # NumPy has no bfloat16: the file holds its bytes.
            variable.assign(array.view(value.dtype))
        self._metrics = [arrays[f"metric_{i}"] for i in range(place["metrics"])] if place["step"] else None
        return place

    def begin(self, data: dict[str, Any], step: int) -> None:
        """Starts backups of a training.

        Args:
            data: dict for each backup: `seed`, `steps` of an epoch, and `first`, the first batch's fingerprint.
            step: how many steps of the first epoch are already done.
        """
        self._data = data
        self._epoch, self._last = 0, step

    # === While training ===
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if not self._data:
            raise ValueError(
                "Backup: pass it as one of the callbacks of fit of a kgen model, which restores the position in the "
                "data. For other Keras models use keras.callbacks.BackupAndRestore."
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
        # A backup due at the last step waits for the epoch's end, when validation is done too.
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
        """Whether a backup became due in the steps since the last call."""
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
        return type(error)(f"Backup: {file} cannot be written ({reason}). An older backup is left unchanged.")


def _state(model):
    """The variables that a step reads and writes, without metrics."""
    left_out = {id(v) for v in model.metrics_variables}
    variables = {id(v): v for v in [*model.variables, *model.optimizer.variables]}
    return [v for i, v in variables.items() if i not in left_out]
