"""Samples on disk while a model trains."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kgen.callbacks.picture_grid import picture_grid, pictures_of_grid
from kgen.callbacks.summary_writer import summary_writer
from kgen.models import GenerativeModel, TextToImage
from kgen.text import clean_prompts

_KEY = "kgen.SampleGrid"
_SHEET_ROWS, _SHEET_COLUMNS = 12, 16
# Captions need some width to be read.
_SHOWN_WIDTH, _SHOWN_WIDTH_WITH_CAPTIONS = 64, 128


class SampleGrid(keras.callbacks.Callback):
    """Writes what a model generates, always from the same latents, as pictures to look at.

    After every `every`-th epoch and the last one, `epoch_0005.png` is a grid of samples by the averaged weights.
    After training, `contact_sheet.png` has the same samples over time, a row an epoch, evenly chosen. When a run that
    was interrupted goes on in the same directory, the sheet begins with the epochs before.

    Args:
        directory: where to write; made where there is none.
        prompts: list of strings for a `TextToImage`, written below their pictures; None for other models.
        every: epochs from one grid to the next.
        num_images: how many samples of a GAN or VAE. With `num_classes`, rows are labels, each with as many samples as
            this allows.
        columns: pictures in a row; by default about as many as there are rows, with labels `num_images` through their
            number.
        seed: of the latents, an integer.
        tensorboard: also writes the grids for TensorBoard, to this log directory.

    Raises:
        ImportError: for `tensorboard` without TensorFlow and TensorBoard.
        OSError: if `directory` is a file, or cannot be written to.
        TypeError: if a prompt is no string, or the model is none of kgen's.
        ValueError: for a number out of range; for prompts missing, or given to a model that takes none.

    Example:

    ```python
    model.fit(data, epochs=50, callbacks=[kgen.callbacks.SampleGrid("samples", ["a red apple", "a cat"])])
    ```
    """

    def __init__(self, directory, prompts=None, every=1, num_images=16, columns=None, seed=0, tensorboard=None):
        super().__init__()
        for name, value in (("every", every), ("num_images", num_images), ("columns", columns)):
            if value is None and name == "columns":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"SampleGrid: {name} must be an integer of at least 1; got {value!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"SampleGrid: seed must be an integer, so that latents stay the same; got {seed!r}.")
        if prompts is not None:
            prompts = clean_prompts([prompts] if isinstance(prompts, str) else prompts, "SampleGrid")
        self.directory = _writable(directory)
        self.prompts = prompts
        self.every = every
        self.num_images = num_images
        self.columns = columns
        self.seed = seed
        self.writer = None if tensorboard is None else summary_writer("SampleGrid", tensorboard)

    # === While training ===
    def on_train_begin(self, logs=None):
        self._check_model()
        self._first_epoch = self._epoch = None
        self._written = set()

    def on_epoch_begin(self, epoch, logs=None):
        if self._first_epoch is None:
            self._first_epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._write_samples()

    def on_train_end(self, logs=None):
        # A run that had ended before has nothing to add.
        if self._epoch is None:
            return
        if self._epoch not in self._written:
            self._write_samples()
        self._write_contact_sheet()

    def _check_model(self):
        name = type(self.model).__name__
        if isinstance(self.model, TextToImage):
            if self.prompts is None:
                raise ValueError(f"SampleGrid: {name} draws from prompts; give SampleGrid(directory, prompts=[...]).")
        elif not isinstance(self.model, GenerativeModel):
            raise TypeError(f"SampleGrid: the model must be a kgen GAN, VAE or TextToImage; got {name}.")
        elif self.prompts is not None:
            raise ValueError(f"SampleGrid: {name} takes no prompts; leave them out, and say num_images.")

    # === Pictures ===
    def _asked_for(self):
        """`(what generate is asked for, how many pictures that is, pictures in a row)`."""
        if self.prompts is not None:
            return self.prompts, len(self.prompts), self.columns or _square(len(self.prompts))
        classes = self.model.num_classes
        if classes is None:
            return self.num_images, self.num_images, self.columns or _square(self.num_images)
        rows = min(classes, self.num_images)
        columns = self.columns or self.num_images // rows
        return [label for label in range(rows) for _ in range(columns)], rows * columns, columns

    def _scale(self):
        shown = _SHOWN_WIDTH if self.prompts is None else _SHOWN_WIDTH_WITH_CAPTIONS
        return max(1, shown // self.model.picture_shape[1])

    def _path(self, epoch):
        return self.directory / f"epoch_{epoch:04d}.png"

    def _description(self):
        """What must be the same for two grids to show the same samples in the same places."""
        asked, count, columns = self._asked_for()
        same = [asked, count, columns, self.seed, list(self.model.picture_shape), self._scale()]
        return json.dumps(same)

    def _write_samples(self):
        asked, _, columns = self._asked_for()
        images = self.model.generate(asked, seed=self.seed, verbose=0)
        grid = picture_grid(images, self.prompts, columns, scale=self._scale())
        # With the file goes what it shows, so that a later run knows which of the files are of its samples.
        _save(grid, self._path(self._epoch), self._description())
        self._written.add(self._epoch)
        if self.writer is not None:
            import tensorflow as tf

            with self.writer.as_default():
                tf.summary.image("samples", np.asarray(grid)[None], step=self._epoch)
            self.writer.flush()

    def _write_contact_sheet(self):
        epochs = self._epochs_on_disk()
        chosen = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), _SHEET_ROWS)).round().astype(int))
        _, count, columns = self._asked_for()
        shown = np.unique(np.linspace(0, count - 1, min(count, _SHEET_COLUMNS)).round().astype(int))
        images, captions = [], []
        for epoch in (epochs[i] for i in chosen):
            with Image.open(self._path(epoch)) as grid:
                pictures = pictures_of_grid(grid, count, columns, self.model.picture_shape, scale=self._scale())
            images.append(pictures[shown])
            captions += [f"epoch {epoch}", *[""] * (len(shown) - 1)]
        sheet = picture_grid(np.concatenate(images), captions, len(shown), scale=self._scale())
        _save(sheet, self.directory / "contact_sheet.png", self._description())

    def _epochs_on_disk(self):
        """Epochs whose grids show these samples: this run's, and those before the epoch that it began with."""
        epochs = []
        for path in self.directory.glob("epoch_*.png"):
            number = re.fullmatch(r"epoch_(\d{4,})", path.stem)
            if number and (int(number[1]) in self._written or int(number[1]) <= self._first_epoch):
                if _description_of(path) == self._description():
                    epochs.append(int(number[1]))
        return sorted(epochs)


def _square(count):
    return int(np.ceil(np.sqrt(count)))


def _writable(directory):
    directory = Path(directory).expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"SampleGrid: {directory} is no directory to write to ({error.strerror}).") from error
    if not os.access(directory, os.W_OK):
        raise PermissionError(f"SampleGrid: the directory {directory} cannot be written to; choose another.")
    return directory


def _save(image, path, description):
    """Writes a file at once, so that whoever looks while training goes on never sees half a picture."""
    info = PngInfo()
    info.add_text(_KEY, description)
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        image.save(partial, format="PNG", pnginfo=info)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _description_of(path):
    try:
        with Image.open(path) as grid:
            return grid.info.get(_KEY)
    except OSError:  # not of this callback's making, and no reason to end a training
        return None
