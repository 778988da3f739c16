"""A prior learned after training: a mixture of normal distributions fitted to a model's latents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.portable import largest
from kgen.sampling.k_means import far_apart, squared_distances
from kgen.training import image_noise
from kgen.types import Array, Tensor

# Added to covariances, in units of the latents' own variances: keeps a component with few images from collapsing.
_RIDGE = 1e-3
# Fitting stops when a round gains less mean log-density than this.
_LEAST_GAIN = 1e-2
# A different key from the latents' own noise, which places them within a component.
_CHOICE = 0x5BD1E995


class LatentPrior:
    """p(z|c) = sum_m w_cm N(z; mu_cm, L_cm L_cm^T), a mixture for each class c.

    The latents of all images together rarely fill the standard normal prior; in the gaps the decoder makes images that
    it was never trained for [Ghosh et al. 2020, "From variational to deterministic autoencoders", also fit a mixture
    after training]. The mixture is fitted to a draw from q(z|x) for each image.

    Args:
        weights: `(classes, components)`, each row adding up to 1.
        means: `(classes, components, latent_dim)`.
        factors: `(classes, components, latent_dim, latent_dim)`, lower triangular.

    Example:

    ```python
    vae.fit_prior(images, components=10)
    vae.sampler.prior.means.shape           # (classes, 10, latent_dim)
    ```
    """

    def __init__(self, weights: Array, means: Array, factors: Array):
        self.weights, self.means, self.factors = (np.asarray(part, "float32") for part in (weights, means, factors))
        self.gain: Any = None

    @classmethod
    def fit(
        cls,
        owner: str,
        latents: Array,
        labels: Any,
        num_classes: int | None,
        components: int,
        iterations: int,
        seed: int,
    ) -> LatentPrior:
        """Fits the mixture by expectation-maximisation; its `gain` compares it with the standard normal prior.

        Args:
            owner: name that errors begin with.
            latents: `(N, latent_dim)`.
            labels: integers `(N,)` below `num_classes`.
            num_classes: number of mixtures; None for one mixture, whatever the labels.
            components: components of each mixture.
            iterations: most rounds.
            seed: seed of the starting points.
        """
        components = checks.integer(owner, "components", components)
        iterations = checks.integer(owner, "iterations", iterations)
        labels = np.zeros(len(latents), int) if num_classes is None else np.reshape(labels, -1)
        num_classes = num_classes or 1
        fewest = np.bincount(labels, minlength=num_classes).min()
        if fewest < 2 * components:
            raise ValueError(
                f"{owner}: {components} components need at least {2 * components} images"
                f"{' of every class' if num_classes > 1 else ''}; got {fewest}."
            )
        latents = latents.astype("float64")
        numbers = np.random.default_rng(seed % 2**32)
        mixtures, density = [], 0.0
        for label in range(num_classes):
            points = latents[labels == label]
            *mixture, reached = _fit_mixture(points, components, iterations, numbers)
            mixtures.append(mixture)
            density += reached * len(points) / len(latents)
        prior = cls(*(np.stack(part) for part in zip(*mixtures)))
        standard = -0.5 * np.mean(np.sum(latents**2, axis=1) + latents.shape[1] * math.log(2.0 * math.pi))
        prior.gain = float(density - standard)
        return prior

    def draw(self, noise: Tensor, choice: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Latents `(rows, latent_dim)` from standard normal noise of that shape.

        Args:
            noise: places the latents within a component.
            choice: standard normal numbers `(rows,)`, which choose the component.
            condition: dict with `pooled` `(rows, classes)`, one-hot, if there are classes.
        """
        chosen = chosen_components(choice, self._of_class(np.cumsum(self.weights, axis=1)[:, :-1], condition))
        if len(self.weights) > 1:
            chosen = chosen + self.weights.shape[1] * largest(condition["pooled"])
        dim = self.means.shape[-1]
        means = ops.take(self.means.reshape(-1, dim), chosen, axis=0)
        factors = ops.take(self.factors.reshape(-1, dim, dim), chosen, axis=0)
        return means + ops.sum(factors * ops.expand_dims(noise, 1), axis=-1)

    def log_density(self, latents: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Log p(z) without its constant: log p(z) + log(2 pi) latent_dim / 2, `(rows,)`."""
        whitening = np.linalg.inv(self.factors.astype("float64"))
        scale = np.log(np.diagonal(self.factors, axis1=-2, axis2=-1)).sum(axis=-1)
        shifts = np.einsum("cmij,cmj->cmi", whitening, self.means)
        constants = np.log(np.maximum(self.weights, 1e-30)) - scale
        whitening, shifts, constants = (
            self._of_class(part.astype("float32"), condition) for part in (whitening, shifts, constants)
        )
        white = ops.sum(whitening * latents[:, None, None, :], axis=-1) - shifts
        return ops.logsumexp(constants - 0.5 * ops.sum(ops.square(white), axis=-1), axis=-1)

    def _of_class(self, parts, condition):
        """The part for each row's class, `(rows, ...)`; `(1, ...)` if there is one mixture."""
        if len(self.weights) == 1:
            return ops.convert_to_tensor(parts)
        return ops.take(parts, largest(condition["pooled"]), axis=0)

    # === On disk ===
    def save(self, store: dict) -> None:
        """Writes the prior into the store of `save_own_variables`."""
        for name in ("weights", "means", "factors"):
            store[f"prior_{name}"] = getattr(self, name)

    @classmethod
    def load(cls, store: dict) -> LatentPrior | None:
        """Takes the prior out of a dict of arrays; None if there is no prior in it."""
        parts = [store.pop(f"prior_{name}", None) for name in ("weights", "means", "factors")]
        return None if parts[0] is None else cls(*(np.asarray(part) for part in parts))


def chosen_components(choice: Tensor, bounds: Tensor) -> Tensor:
    """Component numbers `(rows,)` from standard normal ones; `bounds`, from 0 to 1, say where the next one starts."""
    share = 0.5 * (1.0 + ops.erf(ops.expand_dims(choice, 1) / math.sqrt(2.0)))
    return ops.sum(ops.cast(share > bounds, "int32"), axis=1)


def component_noise(seeds: Tensor, indices: Tensor) -> Tensor:
    """Standard normal numbers `(rows,)` that choose components; different from the latents' noise."""
    return ops.squeeze(image_noise(ops.bitwise_xor(ops.cast(seeds, "int32"), _CHOICE), indices, 1), axis=1)


def _fit_mixture(points, components, iterations, numbers):
    """`(weights, means, factors, mean log-density)` of a mixture of normal distributions with full covariances."""
    count, dim = points.shape
    ridge = _RIDGE * np.diag(points.var(axis=0) + 1e-6)
    starts = far_apart(points, components, numbers)
    shares = np.eye(components)[squared_distances(points, starts).argmin(axis=1)]
    reached = -np.inf
    for _ in range(iterations):
        weights = shares.mean(axis=0) + 1e-12
        means = shares.T @ points / (count * weights[:, None])
        weighted = np.sqrt(shares / (count * weights))
        scatter = [(weighted[:, m, None] * (points - means[m])) for m in range(components)]
        factors = np.linalg.cholesky(np.stack([each.T @ each for each in scatter]) + ridge)
        joint = np.log(weights / weights.sum()) + _log_normals(points, means, factors)
        density = np.logaddexp.reduce(joint, axis=1)
        shares = np.exp(joint - density[:, None])
        before, reached = reached, density.mean()
        if reached - before < _LEAST_GAIN:
            break
    return weights / weights.sum(), means, factors, reached


def _log_normals(points, means, factors):
    """Log-densities `(points, components)`."""
    components, dim = means.shape
    whitening = np.linalg.inv(factors)
    white = points @ whitening.reshape(components * dim, dim).T
    white = white.reshape(-1, components, dim) - np.einsum("mij,mj->mi", whitening, means)
    scale = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1) + 0.5 * dim * math.log(2.0 * math.pi)
    return -0.5 * np.sum(white**2, axis=2) - scale
