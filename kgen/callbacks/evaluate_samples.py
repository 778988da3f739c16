"""Measures the images that a model generates while it trains."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kgen import checks
from kgen.callbacks.summary_writer import summary_writer
from kgen.files import check_writable, whole_file, write_whole
from kgen.metrics import FeatureMetric, TextAlignment, update_all
from kgen.metrics.by_name import metric_list
from kgen.metrics.text_alignment import first_of_each
from kgen.models import GAN, VAE, TextToImage
from kgen.progress import silent
from kgen.text import clean_prompts
from kgen.types import Array


class EvaluateSamples(keras.callbacks.Callback):
    """Generates and measures images after every `every`-th epoch and after the last one.

    The numbers go to the logs: to the history, to the line that Keras prints, and to later callbacks in the list. The
    averaged weights generate from the same seeds each time. Training itself does not change.

    Args:
        metrics: one metric of `kgen.metrics`, or a list of them.
        real: uint8 `(N, H, W, C)` real images to compare with, of the model's size. For metrics of pairs, image i
            belongs to prompt i. None if every metric looks only at generated images or has a `reference`, which saves
            computing the real images' features each time.
        prompts: list of strings for a `TextToImage`, one image each; None for other models. Of equal prompts,
            `TextAlignment` measures the first.
        every: number of epochs between measurements.
        num_images: how many images a GAN or VAE generates; with `num_classes`, of all labels in turn. It may differ
            from the number of real ones, but some metrics depend on it.
        monitor: name of the number that decides which weights are best, such as "frechet_distance_efficientnet_lite0";
            the metric knows whether lower or higher is better.
        filepath: where the best weights are saved: `.weights.h5`, or `.keras` for the whole model. A `.json` file next
            to it stores their value, for a run that resumes later.
        seed: seed of the images, an integer.
        batch_size: images computed at once.
        tensorboard: also writes the numbers for TensorBoard, to this log directory.

    Raises:
        ImportError: for `tensorboard` without TensorFlow and TensorBoard.
        TypeError: for metrics not from `kgen.metrics`, a `real` that is not a uint8 array, or a model not from kgen.
        ValueError: for a number out of range; if `real` or prompts are missing, do not apply, or have the wrong size.

    Example:

    ```python
    distance = kgen.metrics.FrechetDistance("efficientnet_lite0")
    watch = kgen.callbacks.EvaluateSamples(
        distance, real=images[:1000], every=5, monitor=distance.name, filepath="best.weights.h5"
    )
    model.fit(images, epochs=50, callbacks=[watch])
    ```
    """

    def __init__(
        self,
        metrics: str | FeatureMetric | Sequence[str | FeatureMetric],
        real: Array | None = None,
        prompts: Sequence[str] | None = None,
        every: int = 1,
        num_images: int = 1000,
        monitor: str | None = None,
        filepath: str | os.PathLike | None = None,
        seed: int = 0,
        batch_size: int = 64,
        tensorboard: str | os.PathLike | None = None,
    ):
        super().__init__()
        metrics = metric_list("EvaluateSamples", metrics)
        for metric in metrics:
            if not isinstance(metric, FeatureMetric):
                raise TypeError(f"EvaluateSamples: metrics must be from kgen.metrics; got {metric!r}.")
        keys = [key for metric in metrics for key in metric.keys]
        if not keys or len(set(keys)) < len(keys):
            raise ValueError(f"EvaluateSamples: give at least one metric, each with a different name; got {keys}.")
        num_images = checks.integer("EvaluateSamples", "num_images", num_images)
        if real is not None and (getattr(real, "dtype", None) != np.uint8 or len(real.shape) != 4):
            got = f"{real.dtype} of shape {real.shape}" if hasattr(real, "dtype") else type(real).__name__
            raise TypeError(f"EvaluateSamples: real must be a uint8 array (N, height, width, channels); got {got}.")
        self.measures = metrics
        self._of_texts = [metric for metric in metrics if isinstance(metric, TextAlignment)]
        self._of_images = [metric for metric in metrics if metric not in self._of_texts]
        self.real = real
        self.prompts = None if prompts is None else clean_prompts(prompts, "EvaluateSamples")
        self.every = checks.integer("EvaluateSamples", "every", every)
        self.num_images = num_images if self.prompts is None else len(self.prompts)
        self.monitor = monitor
        self.filepath = None if filepath is None else Path(filepath).expanduser()
        self.seed = checks.seed("EvaluateSamples", seed, optional=False)
        self.batch_size = checks.integer("EvaluateSamples", "batch_size", batch_size)
        self._check_sources()
        self._check_monitor()
        self.best: float | None = None
        self._measured: Any = None
        self.writer = None if tensorboard is None else summary_writer("EvaluateSamples", tensorboard)

    def _check_sources(self) -> None:
        pairs = [metric.name for metric in self._of_images if metric.paired]
        if self.real is None and any(metric.needs_real for metric in self._of_images):
            raise ValueError("EvaluateSamples: give real images, or metrics with a reference.")
        if (pairs or self._of_texts) and self.prompts is None:
            raise ValueError("EvaluateSamples: a paired metric needs prompts, each with its own image.")
        real, prompts = (0 if each is None else len(each) for each in (self.real, self.prompts))
        if pairs and real != prompts:
            raise ValueError(
                f"EvaluateSamples: {pairs[0]} needs a real image for each of the {prompts} prompts; got {real}."
            )

    def _check_monitor(self) -> None:
        directions = {key: way for metric in self.measures for key, way in metric.directions.items()}
        if (self.monitor is None) != (self.filepath is None):
            raise ValueError("EvaluateSamples: give monitor and filepath together, or neither.")
        if self.monitor is None or self.filepath is None:
            return
        if self.monitor not in directions:
            raise ValueError(f"EvaluateSamples: monitor must be one of {sorted(directions)}; got {self.monitor!r}.")
        if not self.filepath.name.endswith((".weights.h5", ".keras")):
            raise ValueError(f"EvaluateSamples: filepath must end in .weights.h5 or .keras; got '{self.filepath}'.")
        self._better = {"min": np.less, "max": np.greater}[directions[self.monitor]]

    # === While training ===
    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        name: str = type(self.model).__name__
        shape: Any = getattr(getattr(self.model, "sampler", None), "image_shape", None)
        if isinstance(self.model, TextToImage):
            if self.prompts is None:
                raise ValueError(f"EvaluateSamples: {name} draws from prompts; give prompts=[...].")
        elif not isinstance(self.model, (GAN, VAE)):
            raise TypeError(f"EvaluateSamples: the model must be a kgen GAN, VAE or TextToImage; got {name}.")
        elif self.prompts is not None:
            raise ValueError(f"EvaluateSamples: {name} takes no prompts; leave them out, and give num_images.")
        if self.real is not None and tuple(self.real.shape[1:]) != shape:
            raise ValueError(
                f"EvaluateSamples: real images must have the model's image shape, {shape}; got "
                f"{tuple(self.real.shape[1:])}."
            )
        for metric in self._of_images:
            metric.build_for(shape)
        if self.filepath is not None:
            check_writable("EvaluateSamples: filepath", self.filepath)
        if self.model is not self._measured:
            self.best, self._measured = None, self.model
        self._first_epoch: int | None = None
        # The last epoch that has ended, if it was not measured.
        self._unmeasured: int | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self._first_epoch is None:
            self._first_epoch = epoch
            # This run continues one of another process.
            if epoch > 0 and self.best is None:
                self.best = self._best_so_far()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        last = epoch + 1 == self.params.get("epochs") or self.model.stop_training
        if (epoch + 1) % self.every and not last:
            self._unmeasured = epoch
            return
        self._measure_after(epoch, logs)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        # A callback after this one has stopped the training.
        if self._unmeasured is not None:
            self._measure_after(self._unmeasured, logs)

    def _measure_after(self, epoch: int, logs: dict[str, float] | None) -> None:
        self._unmeasured = None
        results = self.measure()
        if logs is not None:
            logs.update(results)
        if self.writer is not None:
            import tensorflow as tf

            with self.writer.as_default():
                for name, value in results.items():
                    tf.summary.scalar(name, value, step=epoch + 1)
            self.writer.flush()
        if self.monitor is not None and self.filepath is not None:
            self._keep_if_best(self.filepath, results[self.monitor], epoch + 1)

    def measure(self) -> dict[str, float]:
        """The measurements of the model's current images: a dict from name to number."""
        asked: dict[str, Any] = {"prompts": self.prompts} if self.prompts else {"num_images": self.num_images}
        classes = getattr(self.model, "num_classes", None)
        if classes is not None:
            asked = {"labels": np.arange(self.num_images) % classes}
        generated = self.model.generate(**asked, seed=self.seed, batch_size=self.batch_size, verbose=0)
        for metric in self.measures:
            metric.reset_state()
        # As in `generate`, no bars between those of the training.
        with silent(0):
            if self._of_texts:
                prompts = self.prompts or []
                rows = first_of_each(prompts)
                update_all(self._of_texts, [prompts[row] for row in rows], generated[rows])
            update_all(self._of_images, self.real, generated)
        return {name: value for metric in self.measures for name, value in metric.results().items()}

    # === The best weights ===
    def _keep_if_best(self, path: Path, value: float, epoch: int) -> None:
        if not np.isfinite(value) or (self.best is not None and not self._better(value, self.best)):
            return
        self.best = value
        # If the run is killed in between, the older files stay intact.
        with whole_file(path) as partial:
            (self.model.save if path.suffix == ".keras" else self.model.save_weights)(partial)
        record = {"monitor": self.monitor, "value": value, "epoch": epoch}
        write_whole(_record(path), json.dumps(record) + "\n")

    def _best_so_far(self) -> float | None:
        """The value of the weights in the file, None if there is no file."""
        if self.filepath is None or not _record(self.filepath).is_file() or not self.filepath.is_file():
            return None
        record = json.loads(_record(self.filepath).read_text())
        return record["value"] if record["monitor"] == self.monitor else None


def _record(path: Path) -> Path:
    """The file next to the weights that stores their value."""
    return path.with_name(f"{path.name}.json")
