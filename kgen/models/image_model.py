"""What all image models of kgen share: data in, long work in batches, files out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgen.export import export_model
from kgen.inference.compiled_graphs import CompiledGraphs
from kgen.inference.predict import predict
from kgen.networks.interface import split_batch
from kgen.presets import load_preset, save_preset
from kgen.progress import silent
from kgen.sampling.sample_metrics import SampleMetrics
from kgen.spaces import PixelSpace
from kgen.training import PhasedModel
from kgen.types import Tensor, ValueRange


class ImageModel(PhasedModel):
    """Base of kgen's models, which hold their common parts: an input, a sampler, an objective, compiled graphs.

    A subclass sets `image_input`, which checks the arguments of `fit` and makes the batches for its losses, and defines
    `phases()`. For `export` it has a `sampler`, or defines `served_layers()`, `serving_signature()` and `serve()`. For
    `compile(metrics=...)` it has a `sampler`, or defines `counterparts()` or `judged()`, and sets `generates`, `pairs`
    and `judges` to match.

    Args:
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.
    """

    # What metrics can measure: generated images, a counterpart of each image, answers. See `SampleMetrics`.
    generates = pairs = judges = False
    # The method that `predict` calls; None if no single method fits.
    predicts_by: str | None = None
    # What to call instead, if `predict` has no single meaning.
    instead_of_predict = "its own methods"
    image_input: Any

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        # 2 after training on float images in [0, 1], 1 for [-1, 1]: a variable, so that it is saved.
        self.float_scale = self.add_weight(
            shape=(), initializer="zeros", trainable=False, dtype="float32", autocast=False, name="float_scale"
        )
        # What networks see and make. Not a class attribute: on torch that would hide a layer set in its place.
        self.space: Any = PixelSpace()
        self.sample_metrics: Any = None
        self.sampler: Any = None
        self.graphs = CompiledGraphs(self)

    # === Training ===
    def prepare(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that the losses see."""
        return self.image_input.batch(x, y)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        validation_data: Any = None,
        batch_size: int | None = None,
        shuffle: bool = True,
        value_range: ValueRange = None,
        **kwargs: Any,
    ) -> Any:
        """Trains the model, like `keras.Model.fit`.

        Args:
            x: images `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1]; or batches of them: a
                `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch `DataLoader`, a grain dataset. A caption model
                takes what `kgen.data` loads, or a dict of `images` and `captions`; in batches also pairs.
            y: what belongs to the images: labels, masks, captions, a second set of images. See the model's class.
            validation_data: like `x`, or `(x, y)`.
            batch_size: images per step; 32 by default. A dataset has its own.
            shuffle: whether to shuffle arrays in each epoch.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`, saved with the model. None: [-1, 1] if any value
                is negative (in data in batches, any value of the first batch), else [0, 1].
            **kwargs: of `keras.Model.fit`; for a caption model also `caption_cache`, a directory for caption features,
                for sets too large for memory;
                for a model in a `kgen.spaces.LatentSpace` also `latent_cache`, a directory for latents;
                for a classifier, segmenter or multi-task model also `class_weight`, a dict from classes, numbers or
                names, to their weights in training, and `sample_weight`, a weight for each image. With several heads
                both may be dicts by head.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            TypeError, ValueError: for wrong images, or wrong or missing labels, masks or captions.
        """
        for name in ("class_weight", "sample_weight", "latent_cache"):
            if kwargs.get(name) is not None and name not in self.image_input.options:
                raise ValueError(f"{type(self).__name__}.fit: {name} has no meaning for this model; leave it out.")
        options = {name: kwargs.pop(name) for name in self.image_input.options if name in kwargs}
        try:
            with silent(kwargs.get("verbose", "auto")):
                data = self.image_input.for_training(x, y, validation_data, batch_size, shuffle, value_range, **options)
            if self.compiled:
                self.before_training()  # drops what is not in a backup, before one is restored
            with self.graphs.in_training():
                return super().fit(**data, **kwargs)
        finally:
            self.image_input.end()
            self.graphs.forget_stale()

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        batch_size: int | None = None,
        return_dict: bool = False,
        value_range: ValueRange = None,
        **kwargs: Any,
    ) -> Any:
        """The losses and metrics on data as in `fit`, without training; `value_range` as in `ImageInput`."""
        weighs = "sample_weight" in self.image_input.options
        options = {name: kwargs.pop(name) for name in ("sample_weight",) if weighs and name in kwargs}
        with self.image_input.range_kept(), silent(kwargs.get("verbose", "auto")):
            data = self.image_input.for_evaluation(x, y, batch_size, value_range, **options)
            logs = super().evaluate(**data, return_dict=True, **kwargs)
        # A layer may add a loss only in training.
        logs = {name: logs[name] for name in self.get_metrics_result() if name in logs}
        if self.sample_metrics is not None:
            logs.update(self.sample_metrics.results())
        return logs if return_dict else (list(logs.values()) if len(logs) > 1 else next(iter(logs.values())))

    def train_on_batch(self, x: Any, y: Any = None, *, value_range: ValueRange = None, **kwargs: Any) -> Any:
        """One training step, like `keras.Model.train_on_batch`; `value_range` as in `evaluate`."""
        if kwargs.get("class_weight") is not None:
            name = f"{type(self).__name__}.train_on_batch"
            raise ValueError(f"{name}: class_weight is only for fit; give sample_weight, a weight for each image.")
        x, y = self.image_input.for_step(x, y, value_range)
        self.image_input.learn_standards(x, f"{type(self).__name__}.train_on_batch")
        return super().train_on_batch(x, y, **kwargs)

    def test_on_batch(self, x: Any, y: Any = None, *, value_range: ValueRange = None, **kwargs: Any) -> Any:
        """The losses on one batch, like `keras.Model.test_on_batch`; `value_range` as in `evaluate`."""
        with self.image_input.range_kept():
            return super().test_on_batch(*self.image_input.for_step(x, y, value_range), **kwargs)

    # === Answers ===
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        value_range: ValueRange = None,
    ) -> Any:
        """Calls the model's own method: `classify`, `segment`, `restore`, `translate`, `reconstruct` or `answers`.

        Args:
            x: images as in `fit`, alone or with what belongs to them, in batches or not.
            batch_size, verbose, value_range: as in that method.
            steps: how many batches of a dataset or generator to use; None for all.

        Returns:
            What that method returns: probabilities, masks, uint8 images.

        Raises:
            NotImplementedError: for a model with several such methods, or one that needs more than images.
            TypeError, ValueError: for wrong images.
        """
        owner = f"{type(self).__name__}.predict"
        if self.predicts_by is None:
            raise NotImplementedError(f"{owner}: it is ambiguous for this model; call {self.instead_of_predict}.")
        method = getattr(self, self.predicts_by)
        options = {"batch_size": batch_size, "verbose": verbose}
        return predict(owner, method, self.image_input, x, steps, value_range, **options)

    def predict_on_batch(self, x: Any) -> Any:
        """`predict` for one batch."""
        return self.predict(x, verbose=0)

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls `call` on tensors in the range of the networks; refuses uint8, which has another range."""
        if any(str(getattr(each, "dtype", "")).endswith("uint8") for each in keras.tree.flatten(inputs)):
            name, methods = type(self).__name__, self.predicts_by or self.instead_of_predict
            raise TypeError(
                f"{name}: calling the model needs floats in the range of its networks, see {name}.call; got uint8. "
                f"For images in any range, use {methods}."
            )
        return super().__call__(inputs, *args, **kwargs)

    def conditioned(self, batch: dict[str, Tensor], training: bool) -> tuple[Tensor, dict[str, Tensor]]:
        """`(images, condition)` of a batch, for an objective; images as networks see them, in training in any view."""
        images, condition = split_batch(batch)
        return self.space.viewed(images, self.seeds(True) if training else None), condition

    @property
    def trained(self) -> bool:
        """Whether any training step was made."""
        return self.average.trained

    def steps_done(self) -> int:
        """Training steps made so far."""
        return int(ops.convert_to_numpy(self.optimizer.iterations)) if self.compiled else 0

    def saved_parts(self) -> dict[str, Any]:
        """What is saved besides variables: a learned prior."""
        return {} if self.sampler is None else {"sampler": self.sampler}

    # === Metrics ===
    def use_metrics(self, metrics: Any) -> None:
        """Sets the metrics of `compile`."""
        can = {"generates": self.generates, "pairs": self.pairs, "judges": self.judges}
        name, shape = type(self).__name__, self.image_input.image_shape
        self.sample_metrics = SampleMetrics(name, metrics, shape, **can) if metrics else None

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Real images and as many generated ones, both as networks see them, for metrics.

        Args:
            batch: a batch of `evaluate`, as `prepare` made it.
            paired: whether image i must be the counterpart of image i, such as its reconstruction.
        """
        if self.sampler is None:
            raise NotImplementedError(f"{type(self).__name__} must define counterparts().")
        images, condition = self.conditioned(batch, False)
        return images, self.sampler.counterparts(images, condition)

    def judged(self, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The true answers for a batch, the model's answers, and perhaps sample weights, for Keras metrics."""
        raise NotImplementedError(f"{type(self).__name__} must define judged().")

    @property
    def metrics(self) -> list:
        """The means of the losses, then the metrics."""
        return [*super().metrics, *([] if self.sample_metrics is None else self.sample_metrics.all)]

    def after_test(self, batch: dict[str, Tensor]) -> None:
        """Updates the metrics with a batch."""
        if self.sample_metrics is not None:
            self.sample_metrics.update(self, batch)

    # === Graphs ===
    def before_training(self) -> None:
        """As in `PhasedModel`; also drops what more training makes wrong, such as a learned prior."""
        super().before_training()
        if self.sampler is not None:
            self.sampler.before_training()
        self.graphs.forget_stale()

    def make_test_function(self, force: bool = False) -> Any:
        """Like `keras.Model.make_test_function`; makes a new one if a constant of the graph has changed."""
        self.graphs.forget_stale()
        return super().make_test_function(force)

    # === On disk ===
    def save_to_preset(
        self, directory: str | os.PathLike, dtype: str | None = None, shared_with: Sequence[str] = (), **remarks: Any
    ) -> None:
        """Writes the model without its training state to a directory that `from_preset` reads.

        Args:
            directory: created if needed; replaces an older preset there.
            dtype: "float16" for a file of half the size, "int8" for a quarter; see `kgen.presets.save_preset`.
            shared_with, **remarks: see there.
        """
        save_preset(self, directory, dtype, shared_with, **remarks)

    @classmethod
    def from_preset(cls, name: str | os.PathLike) -> Any:
        """The trained model of a preset; see `kgen.presets.load_preset`.

        `name` is one of `kgen.presets.preset_names()`, a directory, or an address such as hf://owner/name.
        """
        return load_preset(name, expected=cls)

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The layers and models that `serve` uses; by default the sampler's."""
        return self._serving_part().served_layers()

    def serving_signature(self) -> list[keras.InputSpec]:
        """The arguments of `serve`, in order; each has a name, a shape and a dtype, which may be "string"."""
        return self._serving_part().serving_signature()

    def serve(self, *inputs: Tensor) -> dict[str, Tensor]:
        """What the SavedModel computes: a dict of tensors from TensorFlow tensors."""
        return self._serving_part().serve(*inputs)

    def _serving_part(self):
        if self.sampler is None:
            name = type(self).__name__
            raise NotImplementedError(
                f"{name} must define served_layers(), serving_signature() and serve() for export."
            )
        return self.sampler

    # === As a file of another format ===
    def tensor_signature(self) -> dict[str, keras.InputSpec]:
        """What `serve_tensors` takes, by name, without strings: the sampler's, or the arguments of `serve`."""
        if self.sampler is not None:
            return self.sampler.tensor_signature()
        return {spec.name: spec for spec in self.serving_signature()}

    def serve_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """What a file of a format other than SavedModel computes: a dict of tensors from tensors."""
        return self.serve(**inputs) if self.sampler is None else self.sampler.serve_tensors(inputs)

    def export(self, path: str | os.PathLike, format: str = "tf_saved_model") -> None:
        """Writes the model for use without kgen or Keras.

        Only a SavedModel takes strings and seeds, one seed for each image. `tensor_signature()` says what the other
        formats take. A generative model takes `latents`, standard normal numbers; for a seed they are
        `kgen.training.image_noise(seeds, indices, latent_dim)`. A text-to-image model also takes token ids, for which
        `export` writes `name.tokenizer.json` (format of the library tokenizers) next to `name.onnx`, and
        `name.prompt_cleaner.json` if the model drops stop words from prompts (see `PromptCleaner.patterns`). Outputs
        are those of `serve_tensors`; an output with the name of an input, such as `images`, is called `output_images`.

        Args:
            path: a directory for a SavedModel; a file named .onnx, .tflite, .xml or .pt2 for the other formats. It
                replaces an older one of the same format.
            format: "tf_saved_model", "onnx", "litert", "openvino", or "torch" (on the torch backend), as in
                `keras.Model.export`.

        Raises:
            FileExistsError: if something else is there.
            ImportError: if a package that writes the format is not installed.
            ValueError: for another format, or a path that is named like a file of another format.
            RuntimeError: if the format cannot express the model.

        Example:

        ```python
        model = kgen.models.TextToImage.from_preset("openmoji_64")
        model.export("openmoji.onnx", format="onnx")
        ```
        """
        export_model(self, path, format)

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """Not supported: a saved file does not record that weights are quantized, so it could not be loaded again.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            f"{type(self).__name__}.quantize: kgen models cannot be quantized. save_to_preset(directory, "
            "dtype='int8') writes a file of a quarter of the size, which is read as float32."
        )
