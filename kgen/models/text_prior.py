"""A prior of latents that has read the caption, learned after training."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from kgen.models.latent_prior import chosen_components

_WIDTH = 256
# Of deviations, as logarithms: a component can neither shrink to a picture nor leave the prior far behind.
_LOG_DEVIATIONS = (-2.0, 2.0)
_BATCH = 64
# Noise on standardized features, so that captions like those that were seen are read alike.
_FEATURE_NOISE = 0.3


class TextPrior:
    """p(z|c) = sum_m w_m(c) N(z; mu_m(c), sigma_m(c)^2), all three by a small network of a caption's pooled features c.

    It is a mixture density network [Bishop 1994]. Its network has two hidden layers.

    Args:
        *weights: kernel and bias of each layer in turn; the last ones `(width, components, 1 + 2 latent_dim)` and
            `(components, 1 + 2 latent_dim)`.
    """

    def __init__(self, *weights):
        self.weights = [np.asarray(weight, "float32") for weight in weights]
        self.gain = None

    @classmethod
    def fit(cls, owner, pooled, means, log_variances, components, steps, seed, verbose):
        """The mixture under which draws from q(z|x, c) are likeliest, with its `gain` on a tenth that it did not see.

        Args:
            owner: name that errors begin with.
            pooled: standardized features `(N, P)`.
            means, log_variances: of q(z|x, c), `(N, latent_dim)`.
            components: of the mixture.
            steps: of 64 pictures each.
            seed: an integer; of the order, the draws, and where the network begins.
            verbose: whether to show a progress bar.
        """
        for name, value in (("components", components), ("steps", steps)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{owner}: {name} must be an integer of at least 1; got {value!r}.")
        count, latent_dim = means.shape
        if count < 20:
            raise ValueError(f"{owner}: it takes 20 pictures or more to learn a prior from; got {count}.")
        random = np.random.default_rng(seed % 2**32)
        order = random.permutation(count)
        held_out, rest = order[: count // 10], order[count // 10 :]

        def drawn(rows):
            deviations = np.exp(0.5 * log_variances[rows])
            return (means[rows] + deviations * random.normal(size=(len(rows), latent_dim))).astype("float32")

        def surprise(latents, outputs):
            return -_log_density(_parts(ops.reshape(outputs, (-1, components, 1 + 2 * latent_dim))), latents)

        initial = [keras.initializers.GlorotUniform(int(number)) for number in random.integers(2**31, size=3)]
        options = {"activation": "silu", "dtype": "float32"}
        network = keras.Sequential(
            [
                keras.Input(pooled.shape[1:]),
                layers.Dense(_WIDTH, kernel_initializer=initial[0], **options),
                layers.Dense(_WIDTH, kernel_initializer=initial[1], **options),
                layers.Dense(components * (1 + 2 * latent_dim), kernel_initializer=initial[2], dtype="float32"),
            ]
        )
        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
        network.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), surprise)
        bar = keras.utils.Progbar(steps, verbose=int(verbose))
        done = 0
        while done < steps:
            # A pass over all pictures, or what is left of the steps: the draws are new each time.
            rows = random.permutation(rest)[: _BATCH * (steps - done)]
            noise = _FEATURE_NOISE * random.normal(size=(len(rows), pooled.shape[1]))
            features = (pooled[rows] + noise).astype("float32")
            logs = network.fit(features, drawn(rows), batch_size=_BATCH, shuffle=False, verbose=0).history
            done += -(-len(rows) // _BATCH)
            bar.update(done, [("surprise", logs["loss"][-1])])
        weights = network.get_weights()
        shape = (components, 1 + 2 * latent_dim)
        prior = cls(*weights[:-2], weights[-2].reshape(-1, *shape), weights[-1].reshape(shape))
        latents = drawn(held_out)
        density = ops.convert_to_numpy(prior.log_density(latents, pooled[held_out].astype("float32")))
        prior.gain = float(np.mean(density + 0.5 * np.sum(latents**2, axis=1)))
        return prior

    def draw(self, noise, seeds, indices, pooled):
        """Latents `(rows, latent_dim)`, as of `LatentPrior.draw`, for captions of these features."""
        log_weights, means, log_deviations = self._mixture(pooled)
        bounds = ops.cumsum(ops.exp(log_weights), axis=1)[:, :-1]
        chosen = ops.one_hot(chosen_components(seeds, indices, bounds), means.shape[1], dtype="float32")[..., None]
        return ops.sum(chosen * means, axis=1) + ops.exp(ops.sum(chosen * log_deviations, axis=1)) * noise

    def log_density(self, latents, pooled):
        """As of `LatentPrior.log_density`."""
        return _log_density(self._mixture(pooled), latents)

    def _mixture(self, pooled):
        x, (*hidden, kernel, bias) = ops.cast(pooled, "float32"), self.weights
        for each, shift in zip(hidden[::2], hidden[1::2]):
            x = ops.silu(ops.add(ops.matmul(x, each), shift))
        outputs = ops.add(ops.matmul(x, kernel.reshape(len(kernel), -1)), bias.reshape(-1))
        return _parts(ops.reshape(outputs, (-1, *bias.shape)))

    # === On disk ===
    def save(self, store):
        """Writes itself into what `save_own_variables` is given."""
        for number, weight in enumerate(self.weights):
            store[f"text_prior_{number}"] = weight

    @classmethod
    def load(cls, store):
        """The prior in a dict of arrays, which it takes out of there; None where there is none."""
        names = sorted(name for name in store if name.startswith("text_prior_"))
        return cls(*(store.pop(name) for name in names)) if names else None


def _parts(outputs):
    """`(log-weights, means, log-deviations)` of `(rows, components, 1 + 2 latent_dim)`."""
    latent_dim = outputs.shape[-1] // 2
    log_deviations = ops.clip(outputs[..., 1 + latent_dim :], *_LOG_DEVIATIONS)
    return ops.log_softmax(outputs[..., 0], axis=-1), outputs[..., 1 : 1 + latent_dim], log_deviations


def _log_density(parts, latents):
    log_weights, means, log_deviations = parts
    distances = 0.5 * ops.square((ops.convert_to_tensor(latents)[:, None, :] - means) * ops.exp(-log_deviations))
    return ops.logsumexp(log_weights - ops.sum(distances + log_deviations, axis=-1), axis=-1)
