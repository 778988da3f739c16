"""Two sets of images, no two of which belong together, on their way into a model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.inputs import pixels
from kgen.inputs.image_input import ImageInput, look_at
from kgen.types import Tensor


class PairInput(ImageInput):
    """The door of a model that learns from two sets of images: each image of the first with some of the second.

    The second set of `fit` is kept on the device; each step draws as many of it as it has of the first, with
    replacement. In evaluation image i goes with image i of the second set, which is repeated if it is shorter.

    Args:
        owner, image_shape, float_scale: as in `ImageInput`.
        names: what the two sets are called, in errors; the second is a key of the batch.
        second_shape: `(height, width, channels)` of the second set; None: as of the first.

    Example:

    ```python
    class Translator(ImageModel):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.image_input = PairInput("Translator", (64, 64, 3), self.float_scale)
    ```
    """

    def __init__(
        self,
        owner: str,
        image_shape: tuple,
        float_scale: keras.Variable,
        names: tuple[str, str] = ("images", "others"),
        second_shape: tuple | None = None,
    ):
        super().__init__(owner, image_shape, float_scale)
        self.first_name, self.second_name = names
        self.second_shape = second_shape or self.image_shape
        self.second_set: Tensor | None = None

    # === What the losses see ===
    def batch(self, x, y=None):
        """The batch that losses see: `images` and, if they came along, those of the second set, in [-1, 1]."""
        batch = {"images": self.to_network(x)}
        return batch if y is None else {**batch, self.second_name: self.to_network(y)}

    def second_of(self, batch: dict[str, Tensor], seed: keras.random.SeedGenerator) -> Tensor:
        """An image of the second set for each of a batch: those that came with it, or some drawn by lot."""
        if self.second_name in batch:
            return batch[self.second_name]
        if self.second_set is None:
            raise self._missing()
        count = ops.shape(batch["images"])[0]
        drawn = keras.random.randint((count,), 0, self.second_set.shape[0], seed=seed)
        return self.to_network(ops.take(self.second_set, drawn, axis=0))

    # === What comes in ===
    def for_training(self, x, y, validation_data, batch_size, shuffle):
        """The arguments of `keras.Model.fit`; keeps the second set until `end`."""
        if isinstance(validation_data, (tuple, list)):
            validation_data = self._pairs(*validation_data)
        if y is None:
            return super().for_training(x, None, validation_data, batch_size, shuffle)
        pixels.check_spec(f"{self.owner}, {self.second_name}", y, self.second_shape)
        first, _ = look_at(self.owner, x)
        if first is not None:
            self.check_range_of_second(y, pixels.image_range(self.owner, first, self.image_shape))
        self.second_set = ops.convert_to_tensor(y)
        return super().for_training(x, None, validation_data, batch_size, shuffle)

    def for_evaluation(self, x, y, batch_size):
        """The arguments of `keras.Model.evaluate`."""
        if y is not None and not self.is_validation(x):
            x, y = self._pairs(x, y)
        return super().for_evaluation(x, y, batch_size)

    def end(self):
        """Lets go of the second set."""
        super().end()
        self.second_set = None

    def check_others(self, others, images):
        """Checks the second set: that there is one, its shape and range."""
        second = others.get("y")
        if second is None and self.second_set is None:
            raise self._missing()
        if second is not None:
            self.check_range_of_second(second, pixels.image_range(self.owner, images, self.image_shape))

    def check_range_of_second(self, second: Any, first_range: tuple[int, int]) -> None:
        """Raises ValueError for a second set of wrong shape, or whose range is not that of the first."""
        found = pixels.image_range(f"{self.owner}, {self.second_name}", second, self.second_shape)
        if {found, first_range} == {(0, 1), (-1, 1)}:
            raise ValueError(
                f"{self.owner}: {self.first_name} and {self.second_name} must be in one range; some are in [0, 1], the "
                "others in [-1, 1]."
            )

    def _pairs(self, first, second=None):
        if second is None:
            raise ValueError(
                f"{self.owner}: to evaluate it needs {self.second_name}: ({self.first_name}, {self.second_name})."
            )
        return first, ops.convert_to_numpy(second)[np.arange(len(first)) % len(second)]

    def _missing(self):
        return ValueError(
            f"{self.owner}: it learns from {self.second_name}; give them: fit({self.first_name}, {self.second_name})."
        )
