"""A `fit` that resumes from a `Backup`."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.training.backup import Backup
from kgen.training.epochs import epochs_of, fingerprint


def backup_among(callbacks: Any) -> Backup | None:
    """The `Backup` among the callbacks of a `fit`, or None.

    Raises:
        ValueError: if there are two.
    """
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return None
    found = [each for each in keras.tree.flatten(callbacks) if isinstance(each, Backup)]
    if len(found) > 1:
        raise ValueError("Backup: callbacks must contain at most one; got two.")
    return found[0] if found else None


def fit_with_backup(
    backup: Backup,
    model: keras.Model,
    fit: Callable,
    x: Any,
    y: Any = None,
    *,
    sample_weight: Any = None,
    batch_size: int | None = None,
    shuffle: bool = True,
    steps_per_epoch: int | None = None,
    epochs: int = 1,
    initial_epoch: int = 0,
    verbose: Any = "auto",
    callbacks: Any = None,
    validation_split: float = 0.0,
    validation_data: Any = None,
    validation_batch_size: int | None = None,
    **options: Any,
) -> Any:
    """Runs `fit` of a model, resumed from its backup if there is one.

    Args:
        backup: the `Backup` among the callbacks.
        model: a compiled `PhasedModel`.
        fit: `keras.Model.fit` of the model.
        x, y, **options: these and all other arguments: as in `keras.Model.fit`.

    Returns:
        The `keras.callbacks.History` of the epochs run by this call.
    """
    owner = f"{type(model).__name__}.fit"
    if validation_split and validation_data is None:
        (x, y, sample_weight), validation_data = _split(owner, (x, y, sample_weight), validation_split)
    place = backup.restore(model)
    seed = place["seed"] if place else int(np.random.randint(2**31)) if model.seed is None else model.seed
    data = epochs_of(owner, x, y, sample_weight, batch_size, shuffle, steps_per_epoch, seed)
    _begin(backup, owner, data, seed, place)
    epoch, step = (place["epoch"], place["step"]) if place else (initial_epoch, 0)
    if place and place["ended"]:
        epoch = epochs
    # Keras can only start whole epochs: the rest of one is a separate `fit` for Keras, but not for callbacks.
    parts = [(epoch, step, epoch + 1)] if step else []
    first = epoch + len(parts)
    parts += [(first, 0, epochs)] if first < epochs else []
    params = {"verbose": verbose, "epochs": epochs, "steps": data.steps}
    run = _OneTraining(callbacks, add_history=True, add_progbar=verbose != 0, model=model, **params)
    model.stop_training = False
    try:
        for begin, left_out, end in parts:
            run.left_out = left_out
            model.optimizer.goes_on = end < parts[-1][-1]
            fit(
                **data.begin(begin, left_out),
                initial_epoch=begin,
                epochs=end,
                verbose=verbose,
                callbacks=run,
                validation_data=validation_data,
                validation_batch_size=validation_batch_size or batch_size,
                **options,
            )
            if model.stop_training:
                break
    finally:
        stopped_early, model.optimizer.goes_on = model.optimizer.goes_on, False
    if stopped_early:
        model.optimizer.finalize_variable_values(model.trainable_weights)
    run.end()
    return model.history


def _begin(backup, owner, data, seed, place):
    """Tells the backup about the data, and warns the user if a resumed run will not see the same data."""
    if data.steps is None and backup.save_freq != "epoch":
        raise ValueError(
            f"{owner}: the number of steps in an epoch of these data is unknown, but the backup is due every "
            f"{backup.save_freq} steps. Give steps_per_epoch, or Backup(save_freq='epoch')."
        )
    read = [None if batch is None else fingerprint(batch) for batch in (data.first(), data.first())]
    known = read[0] if read[0] == read[1] else None
    advice = "A resumed run will not see the same data as an uninterrupted one: see kgen.callbacks.Backup."
    if read[0] != read[1]:
        warnings.warn(f"{owner}: the first batch of the data differs each time they are read. {advice}", stacklevel=4)
    if place and place["steps"] != data.steps:
        raise ValueError(
            f"{owner}: {backup.file} is from data with {place['steps']} steps per epoch; these have {data.steps}. Give "
            "the same data and batch_size."
        )
    if place and known and place["first"] and known != place["first"]:
        warnings.warn(
            f"{owner}: the first batch of the data is not the one recorded in {backup.file}. {advice}", stacklevel=4
        )
    backup.begin({"seed": seed, "steps": data.steps, "first": known}, place["step"] if place else 0)


def _split(owner, data, share):
    """`(data, validation data)`: the last share of the rows is held out, as in Keras."""
    arrays = [each for each in keras.tree.flatten(data) if each is not None]
    if not all(hasattr(each, "shape") for each in arrays):
        raise ValueError(f"{owner}: validation_split needs arrays; give validation_data.")
    kept = int(len(arrays[0]) * (1.0 - share))
    if not 0 < kept < len(arrays[0]):
        raise ValueError(f"{owner}: validation_split={share:g} of {len(arrays[0])} images leaves one side empty.")

    def part(rows):
        return keras.tree.map_structure(lambda each: None if each is None else each[rows], data)

    return part(slice(kept)), keras.utils.pack_x_y_sample_weight(*part(slice(kept, None)))


class _OneTraining(keras.callbacks.CallbackList):
    """Callbacks that see several calls of `fit` as one training. Batch numbers include an epoch's skipped steps."""

    left_out = 0
    _begun = False
    _logs: Any = None

    def on_train_begin(self, logs=None):
        if not self._begun:
            self._begun = True
            super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        # The rates of the backup are those of this epoch: what computes them from the last rates must not do so again.
        kept = [(rate, float(ops.convert_to_numpy(rate))) for rate in self._rates()] if self.left_out else []
        super().on_epoch_begin(epoch, logs)
        for rate, value in kept:
            rate.assign(value)

    def _rates(self):
        # Under mixed_float16 an optimizer that scales losses holds the one with the rate.
        optimizers = [getattr(each, "inner_optimizer", each) for each in self.model.optimizer.optimizers]
        rates = [optimizer._learning_rate for optimizer in optimizers]
        return [rate for rate in rates if isinstance(rate, keras.Variable)]

    def on_train_batch_begin(self, batch, logs=None):
        super().on_train_batch_begin(batch + self.left_out, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch + self.left_out, logs)

    def on_train_end(self, logs=None):
        self._logs = logs

    def end(self):
        self.on_train_begin()
        super().on_train_end(self._logs)
