"""The input of two unpaired sets of images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.inputs import pixels
from kgen.inputs.batches import look_at
from kgen.inputs.image_input import ImageInput
from kgen.training import backend
from kgen.types import Array, Tensor


class PairInput(ImageInput):
    """The input of a model that learns from two unpaired sets of images.

    `fit` keeps the second set on the device. Each step draws as many images from it as it has of the first set, with
    replacement. In evaluation image i goes with image i of the second set, which is repeated if it is shorter.

    Args:
        owner, image_shape, float_scale: as in `ImageInput`.
        names: names of the two sets in errors; the second is also a key of the batch.

    Example:

    ```python
    class Translator(ImageModel):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.image_input = PairInput("Translator", (64, 64, 3), self.float_scale)
    ```
    """

    def __init__(
        self, owner: str, image_shape: tuple, float_scale: keras.Variable, names: tuple[str, str] = ("images", "others")
    ):
        super().__init__(owner, image_shape, float_scale)
        self.first_name, self.second_name = names
        self.second_set: Tensor | None = None

    # === What the losses see ===
    def batch(self, x: Any, y: Any = None) -> dict[str, Tensor]:
        """The batch that losses see: `images` and, if given, those of the second set, in [-1, 1]."""
        batch = super().batch(x)
        return batch if y is None else {**batch, self.second_name: self.to_network(y)}

    def second_of(self, batch: dict[str, Tensor], seed: keras.random.SeedGenerator) -> Tensor:
        """An image of the second set for each image of a batch: those that came with it, or random ones."""
        if self.second_name in batch:
            return batch[self.second_name]
        if self.second_set is None:
            raise self._missing()
        count = ops.shape(batch["images"])[0]
        drawn = backend.like_batch(keras.random.randint((count,), 0, self.second_set.shape[0], seed=seed))
        return self.to_network(ops.take(self.second_set, drawn, axis=0))

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
        """The arguments of `keras.Model.fit`; keeps the second set until `end`."""
        if isinstance(validation_data, (tuple, list)):
            validation_data = self._pairs(*validation_data)
        if y is not None:
            pixels.check_spec(f"{self.owner}, {self.second_name}", y, self.image_shape)
            self.second_set = ops.convert_to_tensor(y)
        return super().for_training(x, None, validation_data, batch_size, shuffle, value_range, latent_cache)

    def for_evaluation(self, x: Any, y: Any, batch_size: int | None, value_range: Any = None) -> dict:
        """The arguments of `keras.Model.evaluate`."""
        if y is not None and not self.is_validation(x, y):
            x, y = self._pairs(x, y)
        return super().for_evaluation(x, y, batch_size, value_range)

    def constants(self) -> list:
        """Values in a training graph that are not variables; here also the second set."""
        return [*super().constants(), self.second_set]

    def end(self) -> None:
        """Releases the second set."""
        super().end()
        self.second_set = None

    def check(self, x: Any, y: Any = None, value_range: Any = None) -> tuple[int, int] | None:
        """Checks both sets; the range of both is that of whichever is float."""
        images, others = look_at(self.owner, x, y)
        if images is None:
            return pixels.stated_range(self.owner, value_range)
        second = self.second_set if others.get("y") is None else others["y"]
        first_range = pixels.image_range(self.owner, images, self.image_shape, value_range)
        if second is None:
            raise self._missing()
        second_owner = f"{self.owner}, {self.second_name}"
        second_range = pixels.image_range(second_owner, second, self.image_shape, value_range)
        if self.second_set is None and self.float_range == (-1, 1) and value_range is None:
            # One batch may not show the range of all images.
            first_range, second_range = ((-1, 1) if each == (0, 1) else each for each in (first_range, second_range))
        if {first_range, second_range} == {(0, 1), (-1, 1)}:
            raise ValueError(
                f"{self.owner}: {self.first_name} and {self.second_name} must be in the same range; some are in "
                "[0, 1], the others in [-1, 1]."
            )
        return second_range if first_range == (0, 255) else first_range

    def _pairs(self, first: Any, second: Any = None) -> tuple[Any, Array]:
        if second is None:
            raise ValueError(
                f"{self.owner}: evaluation needs {self.second_name}; pass ({self.first_name}, {self.second_name})."
            )
        return first, ops.convert_to_numpy(second)[np.arange(len(first)) % len(second)]

    def _missing(self):
        return ValueError(
            f"{self.owner}: {self.second_name} must be given; call fit({self.first_name}, {self.second_name})."
        )
