"""Measures of what a model generates, while it trains."""

from __future__ import annotations

import json
import os
from pathlib import Path

import keras
import numpy as np

from kgen.callbacks.summary_writer import summary_writer
from kgen.metrics import FeatureMetric, TextAlignment, update_all
from kgen.models import GenerativeModel, TextToImage
from kgen.text import clean_prompts


class EvaluateSamples(keras.callbacks.Callback):
    """Generates pictures after every `every`-th epoch and after the last one, and measures them.

    The numbers stand in the logs: in the history, in the line that Keras prints, and for callbacks that come later in
    the list. Pictures are made from the same seeds each time, by the averaged weights, and training goes on as if they
    had not been made.

    Args:
        metrics: one measure of `kgen.metrics`, or a list of them.
        real: uint8 `(N, H, W, C)` real pictures to hold against, as large as the model's. For measures of pairs,
            picture i is that of prompt i. None where all metrics have a `reference`, which saves to look at real
            pictures every time, or look at generated pictures alone.
        prompts: list of strings for a `TextToImage`, one picture each; None for other models.
        every: epochs from one measurement to the next.
        num_images: how many pictures a GAN or VAE generates; with `num_classes`, of all labels in turn. It need not be
            the number of real ones, but some measures depend on it.
        monitor: name of the number that says which weights are best, such as "frechet_distance_efficientnet_lite0";
            whether more or less is better is known.
        filepath: where the best weights are kept: `.weights.h5`, or `.keras` for the whole model. Beside it, `.json`
            says how good they are, for a run that goes on after a break.
        seed: of the pictures, an integer.
        batch_size: pictures computed at once.
        tensorboard: also writes the numbers for TensorBoard, to this log directory.

    Raises:
        ImportError: for `tensorboard` without TensorFlow and TensorBoard.
        TypeError: for metrics that are none of `kgen.metrics`, `real` that is no uint8 array, or a model that is none
            of kgen's.
        ValueError: for a number out of range; for `real` or prompts missing, or given where they have no meaning, or
            of another size.

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
        metrics,
        real=None,
        prompts=None,
        every=1,
        num_images=1000,
        monitor=None,
        filepath=None,
        seed=0,
        batch_size=64,
        tensorboard=None,
    ):
        super().__init__()
        metrics = [metrics] if isinstance(metrics, FeatureMetric) else list(metrics)
        for metric in metrics:
            if not isinstance(metric, FeatureMetric):
                raise TypeError(f"EvaluateSamples: metrics must be measures of kgen.metrics; got {metric!r}.")
        keys = [key for metric in metrics for key in metric.keys]
        if not keys or len(set(keys)) < len(keys):
            raise ValueError(f"EvaluateSamples: give at least one metric, and all of different names; got {keys}.")
        for name, value in (("every", every), ("num_images", num_images), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"EvaluateSamples: {name} must be an integer of at least 1; got {value!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"EvaluateSamples: seed must be an integer, so that latents stay the same; got {seed!r}.")
        if real is not None and (getattr(real, "dtype", None) != np.uint8 or len(real.shape) != 4):
            got = f"{real.dtype} of shape {real.shape}" if hasattr(real, "dtype") else type(real).__name__
            raise TypeError(f"EvaluateSamples: real must be a uint8 array (N, height, width, channels); got {got}.")
        self.measures = metrics
        self._of_texts = [metric for metric in metrics if isinstance(metric, TextAlignment)]
        self._of_pictures = [metric for metric in metrics if metric not in self._of_texts]
        self.real = real
        self.prompts = None if prompts is None else clean_prompts(prompts, "EvaluateSamples")
        self.every = every
        self.num_images = num_images if prompts is None else len(self.prompts)
        self.monitor = monitor
        self.filepath = None if filepath is None else Path(filepath).expanduser()
        self.seed = seed
        self.batch_size = batch_size
        self._check_sources()
        self._check_monitor()
        self.best = None
        self._measured = None
        self.writer = None if tensorboard is None else summary_writer("EvaluateSamples", tensorboard)

    def _check_sources(self):
        pairs = [metric.name for metric in self._of_pictures if metric.paired]
        if self.real is None and any(metric.needs_real for metric in self._of_pictures):
            raise ValueError("EvaluateSamples: give the real pictures, or metrics with a reference.")
        if (pairs or self._of_texts) and self.prompts is None:
            raise ValueError("EvaluateSamples: a measure of pairs needs prompts, each with a picture of its own.")
        if pairs and len(self.real) != len(self.prompts):
            raise ValueError(
                f"EvaluateSamples: {pairs[0]} needs a real picture for each of the {len(self.prompts)} prompts; got "
                f"{len(self.real)}."
            )

    def _check_monitor(self):
        directions = {key: way for metric in self.measures for key, way in metric.directions.items()}
        if (self.monitor is None) != (self.filepath is None):
            raise ValueError("EvaluateSamples: give monitor and filepath together, or neither.")
        if self.monitor is None:
            return
        if self.monitor not in directions:
            raise ValueError(f"EvaluateSamples: monitor must be one of {sorted(directions)}; got {self.monitor!r}.")
        if not self.filepath.name.endswith((".weights.h5", ".keras")):
            raise ValueError(f"EvaluateSamples: filepath must end in .weights.h5 or .keras; got '{self.filepath}'.")
        self._better = {"min": np.less, "max": np.greater}[directions[self.monitor]]

    # === While training ===
    def on_train_begin(self, logs=None):
        name, shape = type(self.model).__name__, getattr(self.model, "picture_shape", None)
        if isinstance(self.model, TextToImage):
            if self.prompts is None:
                raise ValueError(f"EvaluateSamples: {name} draws from prompts; give prompts=[...].")
        elif not isinstance(self.model, GenerativeModel):
            raise TypeError(f"EvaluateSamples: the model must be a kgen GAN, VAE or TextToImage; got {name}.")
        elif self.prompts is not None:
            raise ValueError(f"EvaluateSamples: {name} takes no prompts; leave them out, and say num_images.")
        if self.real is not None and tuple(self.real.shape[1:]) != shape:
            raise ValueError(
                f"EvaluateSamples: real pictures must have the shape of the model's, {shape}; got "
                f"{tuple(self.real.shape[1:])}."
            )
        for metric in self._of_pictures:
            metric.build_for(shape)
        if self.model is not self._measured:
            self.best, self._measured = None, self.model
        self._first_epoch = None

    def on_epoch_begin(self, epoch, logs=None):
        if self._first_epoch is None:
            self._first_epoch = epoch
            # The run goes on with one of another process.
            if epoch > 0 and self.best is None:
                self.best = self._best_so_far()

    def on_epoch_end(self, epoch, logs=None):
        last = epoch + 1 == self.params.get("epochs") or self.model.stop_training
        if (epoch + 1) % self.every and not last:
            return
        results = self.measure()
        if logs is not None:
            logs.update(results)
        if self.writer is not None:
            import tensorflow as tf

            with self.writer.as_default():
                for name, value in results.items():
                    tf.summary.scalar(name, value, step=epoch + 1)
            self.writer.flush()
        if self.monitor is not None:
            self._keep_if_best(results[self.monitor], epoch + 1)

    def measure(self):
        """Dict from name to number of what the model generates now."""
        asked, classes = self.prompts or self.num_images, getattr(self.model, "num_classes", None)
        if classes is not None:
            asked = np.arange(self.num_images) % classes
        generated = self.model.generate(asked, seed=self.seed, batch_size=self.batch_size, verbose=0)
        for metric in self.measures:
            metric.reset_state()
        update_all(self._of_texts, self.prompts, generated)
        update_all(self._of_pictures, self.real, generated)
        return {name: value for metric in self.measures for name, value in metric.results().items()}

    # === The best weights ===
    def _keep_if_best(self, value, epoch):
        if not np.isfinite(value) or (self.best is not None and not self._better(value, self.best)):
            return
        self.best = value
        whole = self.filepath.suffix == ".keras"
        self._write(self.filepath, self.model.save if whole else self.model.save_weights)
        record = json.dumps({"monitor": self.monitor, "value": value, "epoch": epoch}) + "\n"
        self._write(self._record, lambda path: path.write_text(record))

    def _write(self, path, write):
        """Calls `write(path)` so that a run killed in between leaves the older file whole."""
        path.parent.mkdir(parents=True, exist_ok=True)
        # Keras goes by the end of the name.
        partial = path.with_name(f"partial-{os.getpid()}-{path.name}")
        try:
            write(partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)

    @property
    def _record(self):
        return self.filepath.with_name(f"{self.filepath.name}.json")

    def _best_so_far(self):
        """The value of the weights in the file, None without one."""
        if self.monitor is None or not self._record.is_file() or not self.filepath.is_file():
            return None
        record = json.loads(self._record.read_text())
        return record["value"] if record["monitor"] == self.monitor else None
