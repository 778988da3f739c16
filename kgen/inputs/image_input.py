"""The input of images, and of what comes with them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from kgen.inputs import pixels
from kgen.inputs.batch_checks import assert_numbers, every_batch
from kgen.inputs.batches import in_memory, look_at
from kgen.types import Tensor

_FEATURES = ("pooled", "tokens", "mask")


class ImageInput:
    """The input of a model that takes images: checks what comes in, and makes the batch that losses see.

    Images are uint8, or float in [0, 1] or [-1, 1]. Every method that takes images finds their range like this:

    1. uint8 images are in [0, 255].
    2. `value_range=(0, 1)` or `(-1, 1)` states the range of floats.
    3. Floats with a negative value are in [-1, 1].
    4. Floats without one are in the range that the model was trained on; [0, 1] if it was trained on no floats.

    Training keeps its range in a variable of the model, which is saved with it. No other call changes it.

    Args:
        owner: class name that errors begin with.
        image_shape: `(height, width, channels)`; None for a side of any length.
        float_scale: scalar variable of the model: 2 for float images in [0, 1], 1 for [-1, 1], 0 while it is unknown.
        targets: dict from a name to an object that checks and prepares the answers that come with images: `ClassLabels`
            or a `kgen.heads.Head`.
        space: what the networks see in place of images: a `kgen.spaces.LatentSpace`; None: the images themselves.

    Example:

    ```python
    gan.image_input.range_of(images / 255.0)        # (0, 1)
    gan.image_input.batch(images)["images"]         # float32 in [-1, 1]
    ```
    """

    # What `fit` takes besides Keras' own arguments.
    options: tuple[str, ...] = ()

    def __init__(
        self,
        owner: str,
        image_shape: tuple,
        float_scale: keras.Variable,
        targets: dict | None = None,
        space: Any = None,
    ):
        self.owner = owner
        self.image_shape = tuple(image_shape)
        self.float_scale = float_scale
        self.targets = targets or {}
        # The space if networks see latents; None if they see images.
        self.latents = space if space is not None and space.stores else None
        if self.latents is not None:
            self.options = (*self.options, "latent_cache")
        # Floats from a generator may be in either range, so a step that is compiled for a generator takes none.
        self.only_uint8 = False
        self._validation: tuple = ()

    # === Ranges ===
    @property
    def float_range(self) -> tuple[int, int] | None:
        """`(0, 1)` or `(-1, 1)`, the range of the float images of `fit`; None if there were none."""
        return {0: None, 1: (-1, 1), 2: (0, 1)}[int(ops.convert_to_numpy(self.float_scale))]

    @float_range.setter
    def float_range(self, value: tuple[int, int] | None) -> None:
        self.float_scale.assign({None: 0.0, (-1, 1): 1.0, (0, 1): 2.0}[value])

    def range_of(
        self, images: Any, owner: str | None = None, shape: tuple | None = None, value_range: Any = None
    ) -> tuple[int, int]:
        """Checks a user's images, and gives their range.

        Args:
            images: array `(N, height, width, channels)`.
            owner: method that errors name; None for the model.
            shape: shape to expect in place of `image_shape`.
            value_range: of floats, `(0, 1)` or `(-1, 1)`; None: by the rules above.

        Raises:
            TypeError, ValueError: as in `kgen.inputs.pixels.image_range`.
        """
        found = pixels.image_range(owner or self.owner, images, shape or self.image_shape, value_range)
        return self._as_trained(found, value_range)

    def _as_trained(self, found, value_range=None):
        """Floats without a negative value get the range of training, unless a range was stated."""
        return (self.float_range or found) if found == (0, 1) and value_range is None else found

    def images(
        self, images: Any, owner: str | None = None, shape: tuple | None = None, value_range: Any = None
    ) -> pixels.NetworkImages:
        """A user's images, checked, for graphs that begin with `pixels.in_network_range`."""
        return pixels.NetworkImages(images, self.range_of(images, owner, shape, value_range))

    # === What the losses see ===
    def batch(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that losses see: `images` as networks see them, features that came with them, prepared answers."""
        given = x if isinstance(x, dict) else {"images": x}
        features = {name: given[name] for name in _FEATURES if name in given}
        targets = self.targets
        found = self.answers(given, y)
        # For data that could not be checked in advance.
        self.check_complete(found)
        answers = {getattr(targets[name], "key", name): targets[name].prepare(value) for name, value in found.items()}
        return {"images": self.in_space(given["images"]), **features, **answers}

    def in_space(self, images: Tensor) -> Tensor:
        """Images as networks see them: in [-1, 1], or standardized latents. They may be latents already."""
        if self.latents is None:
            return self.to_network(images)
        if self._of_latents(images):
            return self.latents.standardized(images)
        return self.latents.encode(self.to_network(images))

    def to_network(self, images: Tensor) -> Tensor:
        """The images of a batch, as `fit` reads it, in [-1, 1]."""
        if keras.backend.standardize_dtype(images.dtype) == "uint8":
            return pixels.to_network(images, (0, 255))
        if self.only_uint8:
            raise ValueError(
                f"{self.owner}: the range of float images from a generator is unknown. Pass value_range=(0, 1) or "
                "(-1, 1), or give uint8 images."
            )
        return ops.cast(images, "float32") * self.float_scale + (1.0 - self.float_scale)

    def answers(self, given: dict, y: Any) -> dict[str, Any]:
        """A dict from the names of targets to their answers, for those that were given."""
        if isinstance(y, dict):
            given = {**given, **y}
        elif y is not None and len(self.targets) == 1:
            given = {**given, next(iter(self.targets)): y}
        return {name: given[name] for name in self.targets if given.get(name) is not None}

    # === What comes in ===
    def for_training(
        self,
        x: Any,
        y: Any,
        validation_data: Any,
        batch_size: int | None,
        shuffle: bool,
        value_range: Any = None,
        latent_cache: Any = None,
    ) -> dict:
        """The arguments of `keras.Model.fit` from a user's data, checked; sets the range of float images.

        Raises:
            TypeError, ValueError: for wrong images or answers, or training and validation images in different ranges.
        """
        y = self.numbered(y)
        found, other = self.check(x, y, value_range), None
        if validation_data is not None:
            other_x, other_y, weights = keras.utils.unpack_x_y_sample_weight(validation_data)
            other_y = self.numbered(other_y)
            other = self.check(other_x, other_y, value_range)
            if {found, other} == {(0, 1), (-1, 1)}:
                raise ValueError(
                    f"{self.owner}.fit: training and validation images must be in the same range; some are in "
                    "[0, 1], the others in [-1, 1]."
                )
        # Before they are encoded to latents.
        self.learn_range(other if found in (None, (0, 255)) and other in ((0, 1), (-1, 1)) else found)
        if validation_data is not None:
            other_x = self.stored(self.checked(other_x), other, False, latent_cache)
            if other_y is None and weights is None:
                validation_data = other_x
            else:
                validation_data = (other_x, other_y) if weights is None else (other_x, other_y, weights)
            self._validation = (other_x, other_y)
        x = self.stored(self.checked(x), found, True, latent_cache)
        return {"x": x, "y": y, "validation_data": validation_data, "batch_size": batch_size, "shuffle": shuffle}

    def stored(self, x: Any, found: tuple[int, int] | None, training: bool, cache: Any = None) -> Any:
        """Data with latents in place of images, if networks see latents and the images are in memory."""
        if self.latents is None:
            return x
        if isinstance(x, dict) and in_memory(x.get("images")):
            return {**x, "images": self.stored(x["images"], found, training, cache)}
        if in_memory(x):
            return self.latents.latents(pixels.NetworkImages(x, self._as_trained(found)), training, cache)
        if cache is not None:
            raise ValueError(
                f"{self.owner}.fit: latent_cache is only for images in arrays; batches of a {type(x).__name__} are "
                "encoded in every step. Remove latent_cache, or pass arrays."
            )
        # Encoded step by step; the first batch sets the standards.
        if training:
            self.learn_standards(x, f"{self.owner}.fit")
        return x

    def learn_standards(self, x: Any, owner: str) -> None:
        """Sets the standards of latents from the first batch, if networks see latents and have no standards yet."""
        if self.latents is None or self.latents.has_standards:
            return
        images, _ = look_at(owner, x)
        if images is None:
            raise ValueError(
                f"{owner}: the first images are needed to standardize latents, but a generator cannot be read in "
                "advance. Pass arrays, a tf.data.Dataset or a keras.utils.PyDataset."
            )
        if self._of_latents(images):
            raise ValueError(
                f"{owner}: got latents instead of images, but their mean and deviation are unknown; see "
                "LatentSpace.latents."
            )
        of_floats = self.float_range or (0, 1)
        known = (0, 255) if keras.backend.standardize_dtype(images.dtype) == "uint8" else of_floats
        self.latents.adapt_to_images(pixels.NetworkImages(images, known))

    def for_evaluation(self, x: Any, y: Any, batch_size: int | None, value_range: Any = None) -> dict:
        """The arguments of `keras.Model.evaluate` from a user's data, checked."""
        if self.is_validation(x, y):
            return {"x": x, "y": y, "batch_size": batch_size}
        y = self.numbered(y)
        self.learn_range(self._as_trained(self.check(x, y, value_range), value_range))
        return {"x": self.checked(x), "y": y, "batch_size": batch_size}

    def for_step(self, x: Any, y: Any, value_range: Any = None) -> tuple[Any, Any]:
        """`(x, y)` of `train_on_batch` and `test_on_batch`, checked. One batch may not show the range of all."""
        arguments = self.for_evaluation(x, y, None, value_range)
        return arguments["x"], arguments["y"]

    def constants(self) -> list:
        """Values in a training graph that are not variables."""
        return [self.only_uint8]

    def end(self) -> None:
        """Releases what was kept for a training that has ended."""
        self._validation = ()

    def is_validation(self, x: Any, y: Any = None) -> bool:
        """Whether data are the validation data of the current training, which were checked before."""
        images = x["images"] if isinstance(x, dict) and "images" in x else x
        if self._of_latents(images):
            return True
        return bool(self._validation) and all(a is b for a, b in zip((x, y), self._validation))

    def _of_latents(self, x):
        """Whether these are latents in place of images, split off by Keras for `validation_split`."""
        if self.latents is None or not in_memory(x):
            return False
        return tuple(x.shape[-3:]) == self.latents.shape(self.owner, self.image_shape)

    def learn_range(self, found: tuple[int, int] | None) -> None:
        """Keeps the range of float images; `found` is what `check` gave."""
        if found in ((0, 1), (-1, 1)):
            self.float_range = found
        self.only_uint8 = found is None and self.float_range is None

    @contextlib.contextmanager
    def range_kept(self) -> Iterator[None]:
        """Images evaluated within this context may be in any range; the model keeps the range of its training."""
        before = self.float_range, self.only_uint8
        try:
            yield
        finally:
            # Not read first: if an evaluation was interrupted on JAX, the variable has no value now.
            self.float_range, self.only_uint8 = before

    def check(self, x: Any, y: Any = None, value_range: Any = None) -> tuple[int, int] | None:
        """Checks images and answers before a long run; for data in batches, only the first batch. See `checked`.

        Returns:
            The images' range as in `pixels.image_range`; `value_range` for data that cannot be read in advance.
        """
        images, others = look_at(self.owner, x, y)
        if images is None:
            return pixels.stated_range(self.owner, value_range)
        known = (0, 255) if self._of_latents(images) else None
        found = known or pixels.image_range(self.owner, images, self.image_shape, value_range)
        self.check_others(others, images)
        return found

    def checked(self, x: Any) -> Any:
        """The data; if they come in batches, the answers of every batch are checked."""
        return every_batch(x, self._check_batch, self._check_in_graph) if self.targets else x

    def _check_batch(self, batch):
        # A torch loader gives lists.
        images, others = look_at(self.owner, tuple(batch) if isinstance(batch, list) else batch)
        pixels.check_spec(self.owner, images, self.image_shape)
        self.check_others(others, images)

    def _check_in_graph(self, batch):
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        for name, numbers in self.answers(x if isinstance(x, dict) else {}, y).items():
            if limits := self.targets[name].limits:
                called, least, most = limits
                assert_numbers(self.owner, called, numbers, least, most)

    def check_others(self, others: dict, images: Any) -> None:
        """Checks what came with images: a dict, with the user's second argument under `"y"`."""
        if not self.targets and (others.get("y") is not None or others.get("labels") is not None):
            # Datasets of images often have labels, which is no reason to refuse them.
            warnings.warn(
                f"{self.owner}: labels are ignored: the model learns from images alone. Build the model with "
                "num_classes to use labels.",
                stacklevel=5,
            )
        answers = self.answers(others, others.get("y"))
        self.check_complete(answers)
        for name, target in self.targets.items():
            target.check(self.owner, answers[name], (len(images), *images.shape[1:3]))

    def check_complete(self, answers: dict) -> None:
        """Raises ValueError unless there are answers for every target."""
        for name in self.targets:
            if name not in answers:
                form = name if len(self.targets) == 1 else f"{{{name!r}: ...}}"
                raise ValueError(
                    f"{self.owner}: {name} must be given; call fit(images, {form}), or include them in each batch of "
                    "data."
                )

    def numbered(self, y: Any) -> Any:
        """Answers with numbers in place of names."""
        if isinstance(y, dict):
            return {
                name: self.targets[name].numbered(self.owner, values) if name in self.targets else values
                for name, values in y.items()
            }
        if y is None or len(self.targets) != 1:
            return y
        return next(iter(self.targets.values())).numbered(self.owner, y)
