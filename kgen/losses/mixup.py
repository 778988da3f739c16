"""Pictures that are partly real."""

from __future__ import annotations

import keras
from keras import ops

from kgen.losses.configurable import Configurable


@keras.saving.register_keras_serializable(package="kgen")
class Mixup(Configurable):
    """Mixes real and generated pictures, `x = s real + (1 - s) generated` with s ~ Beta(alpha, alpha), one a sample.

    A discriminator that sees these, with s for their label, in place of real and generated ones has a smoother slope
    between the two [Zhang et al. 2018, "mixup: beyond empirical risk minimization", section 3.4].

    Args:
        alpha: positive. Towards 0 nearly all pictures are all real or all generated; 1 makes all shares as likely.

    Raises:
        ValueError: if `alpha` is not positive.

    Example:

    ```python
    gan.compile(loss="non_saturating", mixing=kgen.losses.Mixup(0.2))
    ```
    """

    def __init__(self, alpha=0.2):
        if not alpha > 0:
            raise ValueError(f"Mixup: alpha must be positive; got {alpha}.")
        self.alpha = float(alpha)

    def mixed(self, real, fake, seed):
        """`(pictures, share)`: `(batch, ...)`, and `(batch,)` in float32, by which each is real."""
        share = keras.random.beta((ops.shape(real)[0],), self.alpha, self.alpha, dtype="float32", seed=seed)
        each = ops.cast(ops.reshape(share, [-1] + [1] * (len(real.shape) - 1)), fake.dtype)
        return each * ops.cast(real, fake.dtype) + (1.0 - each) * fake, share

    def get_config(self):
        """The constructor's arguments."""
        return {"alpha": self.alpha}
