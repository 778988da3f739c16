"""Features of one picture with the statistics of another's: what carries a style over."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class AdaptiveInstanceNorm(keras.layers.Layer):
    """Gives each channel of each picture's features a mean and a deviation from elsewhere.

        y = sigma_s * (x - mu(x)) / sigma(x) + mu_s

    with mu(x) and sigma(x) the mean and standard deviation over positions [Huang & Belongie 2017, "Arbitrary style
    transfer in real-time with adaptive instance normalization"]. It has no weights. As y is linear in mu_s and sigma_s,
    mixed statistics give the mix of what each would give.

    Args:
        epsilon: added to the variance of x.

    Example:
        ```python
        content, style = keras.random.normal((2, 8, 8, 16)), keras.random.normal((2, 5, 7, 16))
        AdaptiveInstanceNorm()(content, channel_statistics(style)).shape  # (2, 8, 8, 16)
        ```
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def build(self, x_shape, statistics_shape=None):
        if statistics_shape[-1] != 2 * x_shape[-1]:
            raise ValueError(
                f"AdaptiveInstanceNorm: of {x_shape[-1]} channels there are {2 * x_shape[-1]} statistics, as of "
                f"channel_statistics; got {statistics_shape[-1]}."
            )

    def call(self, x, statistics):
        mean, deviation = ops.split(ops.cast(statistics, "float32")[:, None, None, :], 2, axis=-1)
        own_mean, own = ops.split(channel_statistics(x, self.epsilon)[:, None, None, :], 2, axis=-1)
        # One factor and one offset a channel: one pass over x.
        factor = deviation / own
        return x * ops.cast(factor, x.dtype) + ops.cast(mean - own_mean * factor, x.dtype)

    def compute_output_shape(self, x_shape, statistics_shape=None):
        return x_shape

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "epsilon": self.epsilon}


def channel_statistics(features, epsilon=1e-5):
    """Mean and standard deviation of each channel over positions.

    Args:
        features: `(batch, height, width, C)`.
        epsilon: added to the variance, so that the root has a slope at 0.

    Returns:
        float32 tensor `(batch, 2 C)`: the means, then the deviations.

    Example:
        ```python
        channel_statistics(keras.ops.ones((1, 4, 4, 2)))  # [[1, 1, 0.003, 0.003]]
        ```
    """
    wide = ops.cast(features, "float32")
    mean = ops.mean(wide, axis=(1, 2), keepdims=True)
    variance = ops.mean(ops.square(wide - mean), axis=(1, 2))
    return ops.concatenate([mean[:, 0, 0, :], ops.sqrt(variance + epsilon)], axis=-1)
