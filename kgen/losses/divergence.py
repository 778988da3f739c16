"""Divergences between distributions of latents, in nats per image."""

from __future__ import annotations

from keras import ops


def gaussian_kl(mean, log_variance, free_nats=0.0):
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over latents [Kingma & Welling 2014, appendix B].

    KL = sum_j max(free_nats, (mean_j^2 + exp(log_variance_j) - log_variance_j - 1) / 2).

    Args:
        mean, log_variance: tensors `(batch, latent_dim)`.
        free_nats: information that each latent may carry at no price ("free bits", Kingma et al. 2016). Not negative.

    Returns:
        Tensor `(batch,)` in nats.

    Raises:
        ValueError: if `free_nats` is negative.

    Example:

    ```python
    kgen.losses.gaussian_kl(keras.ops.zeros((2, 8)), keras.ops.zeros((2, 8)))     # [0, 0]
    ```
    """
    if free_nats < 0:
        raise ValueError(f"gaussian_kl: free_nats must not be negative; got {free_nats}.")
    mean, log_variance = ops.cast(mean, "float32"), ops.cast(log_variance, "float32")
    each = 0.5 * (ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0)
    if free_nats:
        each = ops.maximum(each, free_nats)
    return ops.sum(each, axis=-1)
