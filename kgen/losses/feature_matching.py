"""How far the average of what a discriminator sees in generated pictures is from that in real ones."""

from __future__ import annotations

from keras import ops


def feature_matching(real_features, fake_features):
    """||mean f(x) - mean f(G(z))||^2, means over the batch [Salimans et al. 2016, "Improved techniques for training
    GANs", section 3.1].

    Args:
        real_features, fake_features: `(batch, ...)`, f of real and of generated pictures.

    Returns:
        Tensor `(batch,)`: one and the same number for each sample, as it belongs to the batch. Under `tf.distribute`
        each replica compares the means of its own share of the batch.

    Example:

    ```python
    kgen.losses.feature_matching(keras.ops.ones((4, 3)), keras.ops.zeros((4, 3)))     # [3, 3, 3, 3]
    ```
    """
    real_features, fake_features = ops.cast(real_features, "float32"), ops.cast(fake_features, "float32")
    difference = ops.mean(real_features, axis=0) - ops.mean(fake_features, axis=0)
    return ops.sum(ops.square(difference)) * ops.ones((ops.shape(fake_features)[0],))
