"""Pictures in, checked at the door; what is computed of them, in batches with progress."""

from __future__ import annotations

import keras
import numpy as np

from kgen.models import pixels
from kgen.models.saved_model import export_saved_model
from kgen.presets import load_preset, save_preset
from kgen.training import PhasedModel, backend


class ImageModel(PhasedModel):
    """Base of the models that train on pictures.

    A subclass sets `image_shape` and gives `phases()`; for `export` it gives `served_layers()`, `serving_signature()`
    and `serve()`.

    Args:
        seed: integer or None; where training's random numbers begin.
        **kwargs: `name`, `dtype`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        # Known from the first pictures that come through the door; uint8 needs no guess.
        self.float_range = None
        self._compiled, self._compiled_with = {}, None

    # === Pictures in ===
    def examine(self, x, y=None, some_of_many=False):
        """Checks pictures before a long run: rank, size, dtype and range, and what comes with them.

        Args:
            x, y: what `fit` was given.
            some_of_many: they are one batch of many, which need not show the range that the others were in.

        Returns:
            The pictures' range, as `pixel_range` has it; None where one cannot look.
        """
        images, others = self._look_at(x, y)
        if images is None:
            return None
        found = self.find_range(images, some_of_many)
        self.examine_others(others, len(images))
        return found

    def find_range(self, images, some_of_many=False, owner=None, shape=None):
        """Checks pictures alone, as `examine`, and keeps their range for `to_network`.

        Errors name `owner`, or else this class; pictures are to have `shape`, or else `image_shape`.
        """
        found = pixels.pixel_range(owner or type(self).__name__, images, shape or self.image_shape)
        if some_of_many and found == (0, 1) and self.float_range is not None:
            found = self.float_range
        if found != (0, 255):
            if self.float_range not in (None, found):
                # A step that was compiled for the other range would misread these pictures.
                self.train_function = self.test_function = None
                self._compiled.clear()
            self.float_range = found
        return found

    def examine_others(self, others, count):
        """Checks what came with `count` pictures: `others` is a dict, under `"y"` the second thing given to `fit`."""

    @staticmethod
    def _look_at(x, y):
        """`(images, others)` of what `fit` was given, or of its first batch; `(None, {})` where one cannot look."""
        if hasattr(x, "element_spec"):
            batch = next(iter(x.take(1)), None)
            if batch is None:
                raise ValueError("fit: the dataset is empty.")
            x = batch
        elif isinstance(x, keras.utils.PyDataset):
            x = x[0]
        elif not hasattr(x, "shape") and not isinstance(x, (tuple, list, dict)):
            return None, {}
        if isinstance(x, tuple):
            x, y, _ = keras.utils.unpack_x_y_sample_weight(x)
        if isinstance(x, dict):
            if "images" not in x:
                raise ValueError(f"fit: a dict of data must have 'images'; got {sorted(x)}.")
            return x["images"], {**x, "y": y}
        return x, {"y": y}

    def to_network(self, images):
        """Pictures as the networks see them: float32 in [-1, 1]."""
        if keras.backend.standardize_dtype(images.dtype) == "uint8":
            return pixels.to_network(images, (0, 255))
        if self.float_range is None:
            raise ValueError(
                f"{type(self).__name__}: float images from a source that cannot be looked at beforehand may be in "
                "[0, 1] or in [-1, 1]. Give uint8, arrays, a tf.data.Dataset or a keras.utils.PyDataset."
            )
        return pixels.to_network(images, self.float_range)

    def fit(self, x=None, y=None, *, validation_data=None, **kwargs):
        """Trains on pictures, as `keras.Model.fit`.

        Args:
            x: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1]; or a `tf.data.Dataset` or
                `keras.utils.PyDataset` of batches of them.
            y: what belongs to them, such as labels `(N,)`.
            validation_data: like `x`, or `(x, y)`.
            **kwargs: as of `keras.Model.fit`.
        """
        found = self.examine(x, y)
        if validation_data is not None and {found, self.examine(validation_data)} == {(0, 1), (-1, 1)}:
            raise ValueError(
                f"{type(self).__name__}.fit: pictures to train on and to validate with must be in one range; some are "
                "in [0, 1], the others in [-1, 1]."
            )
        return super().fit(x, y, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """The losses on pictures, with nothing trained; as `keras.Model.evaluate`."""
        # Within `fit` the pictures were examined already.
        if "_use_cached_eval_dataset" not in kwargs:
            self.examine(x, y)
        return super().evaluate(x, y, **kwargs)

    def train_on_batch(self, x, y=None, **kwargs):
        """One training step; as `keras.Model.train_on_batch`."""
        self.examine(x, y, some_of_many=True)
        return super().train_on_batch(x, y, **kwargs)

    def test_on_batch(self, x, y=None, **kwargs):
        """The losses on one batch; as `keras.Model.test_on_batch`."""
        self.examine(x, y, some_of_many=True)
        return super().test_on_batch(x, y, **kwargs)

    # === In batches ===
    def in_batches(self, function, inputs, batch_size=64, verbose="auto"):
        """A method that works row by row over a dict of long numpy arrays, in batches, compiled once, with progress.

        Args:
            function: method of this model, from a dict of tensors `(rows, ...)` to a tensor `(rows, ...)`.
            inputs: dict of arrays of one length N.
            batch_size: rows computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            Array `(N, ...)`.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"{type(self).__name__}: batch_size must be an integer of at least 1; got {batch_size!r}.")
        self._forget_stale()
        name = function.__name__
        if name not in self._compiled:
            self._compiled[name] = backend.compiled(function, lambda: self.variables)
        count = len(next(iter(inputs.values())))
        shown = verbose == 1 or (verbose == "auto" and count > 8 * batch_size)
        progress = keras.utils.Progbar(count, unit_name="image") if shown else None
        results = None
        for start in range(0, count, batch_size):
            part = self._compiled[name]({key: value[start : start + batch_size] for key, value in inputs.items()})
            if results is None:
                results = np.empty((count, *part.shape[1:]), part.dtype)
            results[start : start + batch_size] = part
            if progress:
                progress.update(min(start + batch_size, count))
        return results

    def compiled_constant(self):
        """An object that compiled graphs have in them beside variables, or None; with another they are made anew."""
        return None

    def _forget_stale(self):
        constant = self.compiled_constant()
        if constant is not self._compiled_with:
            self._compiled_with = constant
            self._compiled.clear()
            self.test_function = None

    def make_test_function(self, force=False):
        """As `keras.Model.make_test_function`, and anew where a constant of the graph has changed."""
        self._forget_stale()
        return super().make_test_function(force)

    # === On disk ===
    def save_to_preset(self, directory, dtype=None, **remarks):
        """Writes the model without its training state to a directory that `from_preset` reads.

        Args:
            directory: created where needed; an older preset there is replaced.
            dtype: "float16" for a file of half the size; see `kgen.presets.save_preset`.
            **remarks: see there.
        """
        save_preset(self, directory, dtype, **remarks)

    @classmethod
    def from_preset(cls, name):
        """The trained model of a preset: a name of `kgen.presets.preset_names()`, or a directory."""
        return load_preset(name, expected=cls)

    # === As a SavedModel ===
    def served_layers(self):
        """The layers and models that `serve` reads."""
        raise NotImplementedError(f"{type(self).__name__} must define served_layers().")

    def serving_signature(self):
        """TensorFlow specifications of the arguments of `serve`."""
        raise NotImplementedError(f"{type(self).__name__} must define serving_signature().")

    def serve(self, *inputs):
        """A dict of tensors from TensorFlow tensors, what the SavedModel does; a model that draws gives `images`."""
        raise NotImplementedError(f"{type(self).__name__} must define serve().")

    def export(self, path):
        """Writes the model as a SavedModel, which TensorFlow loads without kgen or Keras.

        Args:
            path: directory to write; an older SavedModel there is replaced.

        Raises:
            FileExistsError: if something else is there.
            ImportError: if TensorFlow is not installed.
        """
        export_saved_model(self, path)

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
