"""A statistic across images that shows a discriminator whether the generator repeats itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgen.checks import integer
from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class MinibatchStandardDeviation(keras.layers.Layer):
    """Appends to each image how much the images of its group differ.

        s_f = mean_{positions, channels of f} sqrt(var_group(x) + epsilon)

    Each s_f is a constant channel, for one of `features` equal parts f of the channels (Karras et al. 2018,
    "Progressive Growing of GANs for Improved Quality, Stability, and Variation"). The layer belongs near the end of a
    discriminator. Inputs are `(B, ..., C)`, outputs `(B, ..., C + features)`.

    There are max(1, B // group_size) groups; image i is in group i modulo their number. A batch that `group_size`
    divides is grouped as in the paper. In any other batch, group sizes differ by at most one, and no group is smaller
    than `group_size` unless the batch is. For a single image, s is the square root of epsilon. An image's output
    depends on its group, so pass real and generated images in separate batches.

    Args:
        group_size: images in a group, at least 1.
        features: number of channels to append; it must divide C.
        epsilon: added to the variance, above 0; it keeps gradients finite where images are equal.

    Raises:
        ValueError: if an argument is too small, or `features` does not divide C.

    Example:
        ```python
        MinibatchStandardDeviation()(keras.random.normal((6, 4, 4, 16))).shape  # (6, 4, 4, 17)
        ```
    """

    def __init__(self, group_size: int = 4, features: int = 1, epsilon: float = 1e-8, **kwargs: Any):
        super().__init__(**kwargs)
        self.group_size = integer("MinibatchStandardDeviation", "group_size", group_size)
        self.features = integer("MinibatchStandardDeviation", "features", features)
        if epsilon <= 0:
            raise ValueError(f"MinibatchStandardDeviation: epsilon must be above 0; got {epsilon}.")
        self.epsilon = epsilon

    def build(self, input_shape: tuple) -> None:
        if input_shape[-1] % self.features:
            raise ValueError(
                f"MinibatchStandardDeviation: {input_shape[-1]} channels cannot be split into features={self.features}."
            )

    def call(self, inputs: Tensor) -> Tensor:
        own = self.on_whole_batch(self._of_own_group, inputs)
        own = ops.reshape(own, (-1,) + (1,) * (len(inputs.shape) - 2) + (self.features,))
        channels = ops.broadcast_to(ops.cast(own, inputs.dtype), (*ops.shape(inputs)[:-1], self.features))
        return ops.concatenate([inputs, channels], axis=-1)

    @staticmethod
    def on_whole_batch(function: Callable, inputs: Tensor) -> Tensor:
        """Calls the function on the inputs. Training replaces this method where replicas share a batch."""
        return function(inputs)

    def _of_own_group(self, inputs):
        """The statistic of each image's group, `(batch, features)`."""
        batch = ops.shape(inputs)[0]
        groups = batch // self.group_size
        # A batch size known in advance must stay a Python int, because shapes use it.
        groups = ops.maximum(groups, 1) if ops.is_tensor(groups) else max(groups, 1)
        deviation = self._deviation(ops.cast(inputs, "float32"), batch, groups)
        return ops.take(deviation, ops.arange(batch, dtype="int32") % groups, axis=0)

    def _deviation(self, x, batch, groups):
        """The statistic of each group, `(groups, features)`."""
        # Each round gives one image to each group; a short last round is filled up with images of weight 0.
        rounds = (batch + groups - 1) // groups
        x = ops.reshape(x, (batch, -1, self.features, x.shape[-1] // self.features))
        missing = ops.zeros((rounds * groups - batch, *ops.shape(x)[1:]), dtype="float32")
        x = ops.reshape(ops.concatenate([x, missing], axis=0), (rounds, groups, *ops.shape(x)[1:]))
        there = ops.reshape(ops.arange(rounds * groups, dtype="int32") < batch, (rounds, groups, 1, 1, 1))
        weight = ops.cast(there, "float32")
        weight = weight / ops.sum(weight, axis=0)
        difference = x - ops.sum(weight * x, axis=0)
        variance = ops.sum(weight * ops.square(difference), axis=0)
        return ops.mean(ops.sqrt(variance + self.epsilon), axis=(1, 3))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        return (*input_shape[:-1], input_shape[-1] + self.features)
