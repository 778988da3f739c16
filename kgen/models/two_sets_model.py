"""Training on two sets of pictures of which no two belong together."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kgen.models import pixels
from kgen.models.image_model import ImageModel


class TwoSetsModel(ImageModel):
    """Base of the models that learn from two sets of pictures: each picture of the first with some of the second.

    A subclass names the sets, and sets `second_shape` where pictures of the second may have a shape of their own. Its
    losses see batches of `images` in [-1, 1], and find those of the second set by `second_of`.

    Example:

    ```python
    issubclass(kgen.models.CycleGAN, kgen.models.two_sets_model.TwoSetsModel)     # True
    ```
    """

    first_set, second_set = "images", "others"

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._second = None

    @property
    def second_shape(self):
        """`(height, width, channels)` of the second set's pictures."""
        return self.image_shape

    def second_of(self, batch, training):
        """Pictures of the second set, one for each of a batch: those that came with it, or some drawn by lot."""
        if self.second_set in batch:
            return batch[self.second_set]
        count = ops.shape(batch["images"])[0]
        drawn = keras.random.randint((count,), 0, self._second.shape[0], seed=self.seeds(training))
        return self.to_network(ops.take(self._second, drawn, axis=0))

    # === What comes in ===
    def examine_others(self, others, count):
        """Checks that there is a second set, and its shape and range."""
        owner = type(self).__name__
        second = self._second if others.get("y") is None else others["y"]
        if second is None:
            raise ValueError(
                f"{owner}: it learns from {self.second_set}; give them: fit({self.first_set}, {self.second_set})."
            )
        before = self.float_range
        # Those of `fit` are all that there are; those of a batch need not show the range of the others.
        self.find_range(second, some_of_many=self._second is None, owner=f"{owner}, {self.second_set}")
        if {before, self.float_range} == {(0, 1), (-1, 1)}:
            raise ValueError(
                f"{owner}: {self.first_set} and {self.second_set} must be in one range; some are in [0, 1], the others "
                "in [-1, 1]."
            )

    def prepare(self, x, y=None):
        """The batch that the loss sees, in [-1, 1]; without a second set it is drawn from that of `fit`."""
        batch = {"images": self.to_network(x)}
        return batch if y is None else {**batch, self.second_set: self.to_network(y)}

    def fit(self, x=None, y=None, *, validation_data=None, **kwargs):
        """Trains on two sets of pictures, as `keras.Model.fit`.

        Args:
            x: the first set `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1]; or a
                `tf.data.Dataset` or `keras.utils.PyDataset` of batches of pairs of one length, or of the first set.
            y: the second set `(M, height, width, channels)`, of any number, kept on the device; each step draws as many
                as it has of the first, with replacement.
            validation_data: a pair of sets or such a dataset. Picture i is taken with picture i of the second set;
                where there are fewer of these, they are repeated.
            **kwargs: as of `keras.Model.fit`.

        Raises:
            TypeError, ValueError: for what are no pictures, or of different ranges; or no second set.
        """
        if isinstance(validation_data, (tuple, list)):
            validation_data = self._pairs(*validation_data)
        if y is not None:
            pixels.check_spec(f"{type(self).__name__}, {self.second_set}", y, self.second_shape)
        try:
            self._second = None if y is None else ops.convert_to_tensor(y)
            # One that was compiled before knows other pictures.
            self.train_function = None
            return super().fit(x, validation_data=validation_data, **kwargs)
        finally:
            self._second = self.train_function = None

    def evaluate(self, x=None, y=None, **kwargs):
        """The losses of picture i with picture i of the second set, which is repeated where there are fewer."""
        if y is not None and "_use_cached_eval_dataset" not in kwargs:
            x, y = self._pairs(x, y)
        return super().evaluate(x, y, **kwargs)

    def _pairs(self, first, second=None):
        if second is None:
            raise ValueError(
                f"{type(self).__name__}: to evaluate it needs {self.second_set}: ({self.first_set}, {self.second_set})."
            )
        return first, ops.convert_to_numpy(second)[np.arange(len(first)) % len(second)]
