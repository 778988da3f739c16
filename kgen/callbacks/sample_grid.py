"""Samples on disk while a model trains."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kgen import checks
from kgen.callbacks.summary_writer import summary_writer
from kgen.files import whole_file
from kgen.models import GAN, VAE, TextToImage
from kgen.text import clean_prompts
from kgen.visualization.image_grid import image_grid, images_of_grid, square_columns

_KEY = "kgen.SampleGrid"
_SHEET_ROWS, _SHEET_COLUMNS = 12, 16
# Captions need some width to be readable.
_SHOWN_WIDTH, _SHOWN_WIDTH_WITH_CAPTIONS = 64, 128


class SampleGrid(keras.callbacks.Callback):
    """Writes generated images to disk during training, always from the same latents.

    After every `every`-th epoch and the last one, `epoch_0005.png` is a grid of samples by the averaged weights. After
    training, `contact_sheet.png` has the same samples over time, a row for each of up to 12 epochs. If an interrupted
    run resumes in the same directory, the sheet includes the earlier epochs.

    Args:
        directory: where to write; created if it does not exist.
        prompts: list of strings for a `TextToImage`, written below their images; None for other models.
        every: number of epochs between grids.
        num_images: how many samples a GAN or VAE generates. With `num_classes`, each label has a row, with as many
            samples as this number allows.
        columns: images per row; by default about as many as rows; with labels, `num_images` divided by their number.
        seed: seed of the latents, an integer.
        tensorboard: also writes the grids for TensorBoard, to this log directory.

    Raises:
        ImportError: for `tensorboard` without TensorFlow and TensorBoard.
        OSError: if `directory` is a file, or cannot be written to.
        TypeError: if a prompt is not a string, or the model is not from kgen.
        ValueError: for a number out of range; for missing prompts, or prompts for a model that takes none.

    Example:

    ```python
    model.fit(data, epochs=50, callbacks=[kgen.callbacks.SampleGrid("samples", ["a red apple", "a cat"])])
    ```
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        prompts: Sequence[str] | str | None = None,
        every: int = 1,
        num_images: int = 16,
        columns: int | None = None,
        seed: int = 0,
        tensorboard: str | os.PathLike | None = None,
    ):
        super().__init__()
        self.every = checks.integer("SampleGrid", "every", every)
        self.num_images = checks.integer("SampleGrid", "num_images", num_images)
        self.columns = None if columns is None else checks.integer("SampleGrid", "columns", columns)
        self.seed = checks.seed("SampleGrid", seed, optional=False)
        if prompts is not None:
            prompts = clean_prompts([prompts] if isinstance(prompts, str) else prompts, "SampleGrid")
        self.directory = _writable(directory)
        self.prompts = prompts
        self.writer = None if tensorboard is None else summary_writer("SampleGrid", tensorboard)

    # === While training ===
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._check_model()
        self._first_epoch, self._epoch = -1, 0
        self._written: set[int] = set()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self._first_epoch < 0:
            self._first_epoch = epoch

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._epoch = epoch + 1
        if self._epoch % self.every == 0:
            self._write_samples()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        # A run that had already ended has nothing to add.
        if self._epoch == 0:
            return
        if self._epoch not in self._written:
            self._write_samples()
        self._write_contact_sheet()

    def _check_model(self) -> None:
        name = type(self.model).__name__
        if isinstance(self.model, TextToImage):
            if self.prompts is None:
                raise ValueError(f"SampleGrid: {name} draws from prompts; give SampleGrid(directory, prompts=[...]).")
        elif not isinstance(self.model, (GAN, VAE)):
            raise TypeError(f"SampleGrid: the model must be a kgen GAN, VAE or TextToImage; got {name}.")
        elif self.prompts is not None:
            raise ValueError(f"SampleGrid: {name} takes no prompts; leave them out, and give num_images.")

    # === Images ===
    def _asked_for(self) -> tuple[dict[str, Any], int, int]:
        """`(arguments of generate, number of images, images per row)`."""
        if self.prompts is not None:
            return {"prompts": self.prompts}, len(self.prompts), self.columns or square_columns(len(self.prompts))
        classes = self.model.num_classes
        if classes is None:
            return {"num_images": self.num_images}, self.num_images, self.columns or square_columns(self.num_images)
        rows = min(classes, self.num_images)
        columns = self.columns or self.num_images // rows
        labels = [label for label in range(rows) for _ in range(columns)]
        return {"labels": labels}, rows * columns, columns

    def _scale(self) -> int:
        shown = _SHOWN_WIDTH if self.prompts is None else _SHOWN_WIDTH_WITH_CAPTIONS
        return max(1, shown // self.model.sampler.image_shape[1])

    def _path(self, epoch: int) -> Path:
        return self.directory / f"epoch_{epoch:04d}.png"

    def _description(self) -> str:
        """A description that is equal for two grids if they show the same samples in the same places."""
        asked, count, columns = self._asked_for()
        same = [*asked.values(), count, columns, self.seed, list(self.model.sampler.image_shape), self._scale()]
        return json.dumps(same)

    def _write_samples(self) -> None:
        asked, _, columns = self._asked_for()
        images = self.model.generate(**asked, seed=self.seed, verbose=0)
        grid = image_grid(images, self.prompts, columns, scale=self._scale())
        # The file stores what it shows, so that a later run can tell which files have its samples.
        _save(grid, self._path(self._epoch), self._description())
        self._written.add(self._epoch)
        if self.writer is not None:
            import tensorflow as tf

            with self.writer.as_default():
                tf.summary.image("samples", np.asarray(grid)[None], step=self._epoch)
            self.writer.flush()

    def _write_contact_sheet(self) -> None:
        epochs = self._epochs_on_disk()
        chosen = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), _SHEET_ROWS)).round().astype(int))
        _, count, columns = self._asked_for()
        shown = np.unique(np.linspace(0, count - 1, min(count, _SHEET_COLUMNS)).round().astype(int))
        images: list[np.ndarray] = []
        captions: list[str] = []
        for epoch in (epochs[i] for i in chosen):
            with Image.open(self._path(epoch)) as grid:
                samples = images_of_grid(grid, count, columns, self.model.sampler.image_shape, scale=self._scale())
            images.append(samples[shown])
            captions += [f"epoch {epoch}", *[""] * (len(shown) - 1)]
        sheet = image_grid(np.concatenate(images), captions, len(shown), scale=self._scale())
        _save(sheet, self.directory / "contact_sheet.png", self._description())

    def _epochs_on_disk(self) -> list[int]:
        """Epochs whose grids show these samples: this run's, and those before its first epoch."""
        epochs = []
        for path in self.directory.glob("epoch_*.png"):
            number = re.fullmatch(r"epoch_(\d{4,})", path.stem)
            if number and (int(number[1]) in self._written or int(number[1]) <= self._first_epoch):
                if _description_of(path) == self._description():
                    epochs.append(int(number[1]))
        return sorted(epochs)


def _writable(directory: str | os.PathLike) -> Path:
    directory = Path(directory).expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(f"SampleGrid: cannot write to the directory {directory} ({error.strerror}).") from error
    if not os.access(directory, os.W_OK):
        raise PermissionError(f"SampleGrid: the directory {directory} cannot be written to; choose another.")
    return directory


def _save(image: Image.Image, path: Path, description: str) -> None:
    info = PngInfo()
    info.add_text(_KEY, description)
    # A user who looks during training never sees half an image.
    with whole_file(path) as partial:
        image.save(partial, format="PNG", pnginfo=info)


def _description_of(path: Path) -> str | None:
    try:
        with Image.open(path) as grid:
            return grid.info.get(_KEY)
    except OSError:  # a foreign file is no reason to end training
        return None
