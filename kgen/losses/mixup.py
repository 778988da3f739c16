"""Images that are partly real."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.serializable import serializable
from kgen.types import Tensor


@serializable
class Mixup:
    """Mixes real and generated images: `x = s real + (1 - s) generated` with s ~ Beta(alpha, alpha), one per sample.

    A discriminator that trains on these, with s as their label, instead of on real and generated images, has a smoother
    slope between the two [Zhang et al. 2018, "mixup: beyond empirical risk minimization", section 3.4].

    Args:
        alpha: positive. Near 0, almost every image is all real or all generated; at 1, all shares are equally likely.

    Raises:
        ValueError: if `alpha` is not positive.

    Example:

    ```python
    gan.compile(loss="non_saturating", mixing=kgen.losses.Mixup(0.2))
    ```
    """

    def __init__(self, alpha: float = 0.2):
        if not alpha > 0:
            raise ValueError(f"Mixup: alpha must be positive; got {alpha}.")
        self.alpha = float(alpha)

    def mixed(self, real: Tensor, fake: Tensor, seed: Any) -> tuple[Tensor, Tensor]:
        """`(images, share)`: mixed images `(batch, ...)`, and the real share s of each, float32 `(batch,)`."""
        share = keras.random.beta((ops.shape(real)[0],), self.alpha, self.alpha, dtype="float32", seed=seed)
        each = ops.cast(ops.reshape(share, [-1] + [1] * (len(real.shape) - 1)), fake.dtype)
        return each * ops.cast(real, fake.dtype) + (1.0 - each) * fake, share
