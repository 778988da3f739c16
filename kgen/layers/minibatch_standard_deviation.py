"""A statistic across images, by which a discriminator sees that a generator repeats itself."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kgen")
class MinibatchStandardDeviation(keras.layers.Layer):
    """Appends to each image how much the images of its group differ.

        s_f = mean_{positions, channels of f} sqrt(var_group(x) + epsilon)

    as one constant channel for each of `features` equal parts of the channels (Karras et al. 2018, "Progressive Growing
    of GANs for Improved Quality, Stability, and Variation"); it belongs near the end of a discriminator. Inputs are
    `(B, ..., C)`, outputs `(B, ..., C + features)`.

    The B images are dealt out in turn to max(1, B // group_size) groups, image i to group i modulo their number. So a
    batch that `group_size` divides is grouped as in the paper; in any other, groups differ in size by at most one,
    and none is smaller than `group_size` unless the batch is. A single image differs from nothing: s = 0 (that is,
    the square root of epsilon). Within a call an image's output depends on its group; show real and generated images
    in batches of their own.

    Args:
        group_size: images to a group.
        features: number of channels that are appended; it must divide C.
        epsilon: added to the variance; keeps gradients finite where images are equal.

    Raises:
        ValueError: an argument below its smallest value, or `features` does not divide C.

    Example:
        ```python
        MinibatchStandardDeviation()(keras.random.normal((6, 4, 4, 16))).shape  # (6, 4, 4, 17)
        ```
    """

    def __init__(self, group_size=4, features=1, epsilon=1e-8, **kwargs):
        super().__init__(**kwargs)
        for name, value in (("group_size", group_size), ("features", features)):
            if value < 1:
                raise ValueError(f"MinibatchStandardDeviation: {name} must be at least 1; got {value}.")
        if epsilon <= 0:
            raise ValueError(f"MinibatchStandardDeviation: epsilon must be above 0; got {epsilon}.")
        self.group_size = group_size
        self.features = features
        self.epsilon = epsilon

    def build(self, input_shape):
        if input_shape[-1] % self.features:
            raise ValueError(
                f"MinibatchStandardDeviation: {input_shape[-1]} channels cannot be split into features={self.features}."
            )

    def call(self, inputs):
        shape = ops.shape(inputs)
        batch, groups = shape[0], shape[0] // self.group_size
        # A batch known in advance must stay a Python int: shapes are made of it.
        groups = ops.maximum(groups, 1) if ops.is_tensor(groups) else max(groups, 1)
        deviation = self._deviation(ops.cast(inputs, "float32"), batch, groups)
        own = ops.take(deviation, ops.arange(batch, dtype="int32") % groups, axis=0)
        own = ops.reshape(own, (-1,) + (1,) * (len(inputs.shape) - 2) + (self.features,))
        channels = ops.broadcast_to(ops.cast(own, inputs.dtype), (*shape[:-1], self.features))
        return ops.concatenate([inputs, channels], axis=-1)

    def _deviation(self, x, batch, groups):
        """The statistic of each group, `(groups, features)`."""
        # Round by round, one image to each group; the last round may be short and is filled up with weight 0.
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

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.features)

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update({"group_size": self.group_size, "features": self.features, "epsilon": self.epsilon})
        return config
