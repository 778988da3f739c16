"""How far latents are from their prior, and how many of them are in use."""

from __future__ import annotations

from keras import ops

from kgen.types import Tensor

# Scales of the kernels that are summed: from pairs much closer than draws from the prior, to pairs farther apart.
_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def gaussian_kl(mean: Tensor, log_variance: Tensor, free_nats: float = 0.0) -> Tensor:
    """KL(N(mean, exp(log_variance)) || N(0, 1)), summed over latents [Kingma & Welling 2014, appendix B].

    KL = sum_j max(free_nats, (mean_j^2 + exp(log_variance_j) - log_variance_j - 1) / 2).

    Args:
        mean, log_variance: tensors `(batch, latent_dim)`.
        free_nats: information that each latent may carry for free ("free bits", Kingma et al. 2016). Not negative.

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


def maximum_mean_discrepancy(latents: Tensor, prior_latents: Tensor) -> Tensor:
    """How far the distribution of a batch of latents is from the prior.

    MMD^2 = E k(z, z') + E k(p, p') - 2 E k(z, p), the unbiased estimate over pairs of different latents [Gretton et
    al. 2012, "A kernel two-sample test"], with the inverse multiquadratic kernel of Tolstikhin et al. 2018,
    "Wasserstein auto-encoders", summed over scales: k(x, y) = sum_s C_s / (C_s + |x - y|^2), C_s = 2 s latent_dim.

    Args:
        latents: `(batch, latent_dim)`, drawn from q(z|x).
        prior_latents: `(any number, latent_dim)`, drawn from the standard normal prior.

    Returns:
        Tensor `(batch,)`: the same number for each sample, because it describes the whole batch. It lies between about
        0 (chance can make it negative) and 14. For a batch of one it is not defined, and 0 is returned.

    Example:

    ```python
    draws = keras.random.normal((2, 64, 8), seed=0)
    kgen.losses.maximum_mean_discrepancy(draws[0] + 1.0, draws[1])      # 64 times about 0.8
    ```
    """
    latents, prior = ops.cast(latents, "float32"), ops.cast(prior_latents, "float32")
    count, prior_count = (ops.cast(ops.shape(drawn)[0], "float32") for drawn in (latents, prior))
    discrepancy = (
        _kernel_between_different(latents, count)
        + _kernel_between_different(prior, prior_count)
        - 2.0 * ops.mean(_inverse_multiquadratic(latents, prior))
    )
    enough = ops.cast(ops.minimum(count, prior_count) > 1.0, "float32")
    return enough * discrepancy * ops.ones((ops.shape(latents)[0],), "float32")


def _inverse_multiquadratic(first, second):
    """The kernel between every row of one and every row of the other, `(rows, rows)`."""
    lengths = [ops.sum(ops.square(rows), axis=-1) for rows in (first, second)]
    products = ops.matmul(first, ops.transpose(second))
    distances = ops.maximum(lengths[0][:, None] + lengths[1][None, :] - 2.0 * products, 0.0)
    scales = [2.0 * first.shape[-1] * scale for scale in _SCALES]
    return sum(scale / (scale + distances) for scale in scales)


def _kernel_between_different(rows, count):
    """Mean of k over pairs of different rows."""
    index = ops.arange(ops.shape(rows)[0])
    different = ops.cast(ops.not_equal(index[:, None], index[None, :]), "float32")
    return ops.sum(different * _inverse_multiquadratic(rows, rows)) / ops.maximum(count * (count - 1.0), 1.0)


def active_units(means: Tensor, threshold: float = 0.01) -> Tensor:
    """The number of latents in use: those whose posterior mean has a variance over the batch above `threshold`.

    Burda et al. 2016, "Importance weighted autoencoders", appendix C, measure posterior collapse with it: latent j is
    active if Var_x(E_q[z_j | x]) > 0.01. A latent that the decoder ignores has the same mean for every image.

    Args:
        means: means of q(z|x), `(batch, latent_dim)`.
        threshold: the variance above which a latent counts.

    Returns:
        Tensor `(batch,)`: the same number for each sample, because it describes the whole batch; 0 for a batch of one.

    Example:

    ```python
    kgen.losses.active_units(keras.ops.array([[0.0, 3.0], [0.0, -3.0]]))     # [1, 1]
    ```
    """
    means = ops.cast(means, "float32")
    active = ops.cast(ops.var(means, axis=0) > threshold, "float32")
    return ops.sum(active) * ops.ones((ops.shape(means)[0],), "float32")
