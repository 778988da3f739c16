"""How far an image is from its target, pixel by pixel: the mean over pixels and channels."""

from __future__ import annotations

import math

from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class PixelLoss:
    """Base of the pixel losses: the mean cost of the differences. A subclass defines the cost, `of_difference`.

    Example:

    ```python
    class Huber(kgen.losses.PixelLoss):
        def of_difference(self, difference):
            size = keras.ops.abs(difference)
            return keras.ops.where(size < 0.1, 5.0 * keras.ops.square(difference), size - 0.05)
    ```
    """

    def loss(self, real: Tensor, generated: Tensor) -> Tensor:
        """The loss `(batch,)` of two tensors `(batch, height, width, channels)` in the same range."""
        difference = ops.cast(generated, "float32") - ops.cast(real, "float32")
        return ops.mean(self.of_difference(difference), axis=(1, 2, 3))

    def of_difference(self, difference: Tensor) -> Tensor:
        """The cost of each value of a tensor of differences."""
        raise NotImplementedError(f"{type(self).__name__} must define of_difference().")


@serializable
class L1(PixelLoss):
    """mean |x - y|: its optimum is the median of the possible images, which is sharper than their mean.

    Example:

    ```python
    kgen.losses.L1().loss(clean, restored)
    ```
    """

    def of_difference(self, difference: Tensor) -> Tensor:
        """|d|"""
        return ops.abs(difference)


@serializable
class L2(PixelLoss):
    """mean (x - y)^2: what PSNR measures.

    Example:

    ```python
    kgen.losses.L2().loss(clean, restored)
    ```
    """

    def of_difference(self, difference: Tensor) -> Tensor:
        """d^2"""
        return ops.square(difference)


@serializable
class Charbonnier(PixelLoss):
    """mean sqrt((x - y)^2 + e^2): |x - y| with a smooth minimum [Charbonnier et al. 1994].

    Args:
        epsilon: e, in units of the images; positive.

    Raises:
        ValueError: if `epsilon` is not positive.

    Example:

    ```python
    kgen.losses.Charbonnier(1e-3).loss(clean, restored)
    ```
    """

    def __init__(self, epsilon: float = 1e-3):
        if not 0 < epsilon < math.inf:
            raise ValueError(f"Charbonnier: epsilon must be positive; got {epsilon!r}.")
        self.epsilon = float(epsilon)

    def of_difference(self, difference: Tensor) -> Tensor:
        """sqrt(d^2 + e^2)"""
        return ops.sqrt(ops.square(difference) + self.epsilon**2)
