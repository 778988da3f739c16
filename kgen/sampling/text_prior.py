"""A prior of latents given the caption, learned after training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kgen import checks
from kgen.inputs import pixels
from kgen.networks.interface import split_batch
from kgen.progress import Progress
from kgen.sampling.latent_prior import chosen_components
from kgen.text import CaptionBatches
from kgen.types import Array, Tensor, ValueRange, Verbose

_BATCH = 64
# Units of the layer for each token, and of each hidden layer.
_TOKEN_WIDTH, _WIDTH = 32, 256
# Noise on standardized features, so that the prior reads captions similar to the seen ones alike; and dropout.
_FEATURE_NOISE, _DROPOUT = 0.3, 0.1
# Limits of log-deviations: a component can neither shrink to a single image nor grow far wider than the prior.
_LOG_DEVIATIONS = (-2.0, 2.0)


class TextPrior:
    """p(z|c) = sum_m w_m(c) N(z; mu_m(c), sigma_m(c)^2): a small network reads w, mu and sigma from caption tokens.

    It is a mixture density network [Bishop 1994]: a dense layer for each token, then two hidden layers on all tokens in
    order. It reads tokens, because pooled features hardly say which of two things is the small one.

    In training the same hidden layers also predict a single normal distribution, with its own loss. Before a mixture
    has learned to read, it can spread over all possible meanings at the price of a bit or less; a single normal
    distribution cannot.

    Args:
        *weights: weights of the network; the last two, kernel and bias, are `(width, 1 + components, 1 + 2 latent_dim)`
            and `(1 + components, 1 + 2 latent_dim)`, with the single normal distribution first.

    Example:

    ```python
    model.fit_prior(images, captions)
    model.sampler.prior.gain        # nats an image that it is nearer to the latents than N(0, 1)
    ```
    """

    def __init__(self, *weights: Array):
        self.weights = [np.asarray(weight, "float32") for weight in weights]
        token_kernel, hidden_kernel, last_bias = (self.weights[i] for i in (0, 2, -1))
        self.length = len(hidden_kernel) // _TOKEN_WIDTH
        self.network = _network(self.length, len(token_kernel), last_bias.size)
        self.gain: Any = None

    @classmethod
    def fit(
        cls,
        owner: str,
        batches: CaptionBatches,
        encoded: Callable,
        moments: Array,
        components: int,
        steps: int,
        seed: int,
        verbose: Verbose,
    ) -> TextPrior:
        """Fits the mixture to draws from q(z|x, c); its `gain` is measured on a tenth of the images, held out.

        Args:
            owner: name that errors begin with.
            batches: `CaptionBatches` of the images.
            encoded: function from features of captions to standardized ones.
            moments: means and log-variances of q(z|x, c), `(N, 2 latent_dim)`.
            components: components of the mixture.
            steps: training steps of 64 images each.
            seed: an integer, the seed of the order, the draws and the first weights.
            verbose: as in `Progress`.
        """
        components = checks.integer(owner, "components", components)
        steps = checks.integer(owner, "steps", steps)
        count, latent_dim = len(moments), moments.shape[1] // 2
        if count < 20:
            raise ValueError(f"{owner}: a prior needs at least 20 images to learn from; got {count}.")
        random = np.random.default_rng(seed % 2**32)
        held_out, rest = np.split(random.permutation(count), [count // 10])
        shape = (1 + components, 1 + 2 * latent_dim)
        _, length, token_dim = encoded(batches.table.gather(batches.rows[:1]))["tokens"].shape
        network = _network(length, token_dim, shape[0] * shape[1], random)

        def surprise(latents, outputs):
            outputs = ops.reshape(outputs, (-1, *shape))
            return -_log_density(_parts(outputs[:, 1:]), latents) - _log_density(_parts(outputs[:, :1]), latents)

        rate = keras.optimizers.schedules.CosineDecay(2e-3, steps)
        network.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), surprise)
        done = 0
        learning = batches.beside(moments[rest], rest, _BATCH, shuffle=True, seed=seed % 2**32, steps_done=lambda: done)
        draws = _Draws(learning, encoded)
        progress = Progress(steps, "step", verbose)
        while done < steps:
            now = min(len(draws), steps - done)
            # `_Draws` shuffles: Keras would shuffle the batches too, with Python's own random numbers.
            logs = network.fit(draws, steps_per_epoch=now, shuffle=False, verbose=0).history
            done += now
            progress.add(now, [("surprise", logs["loss"][-1])])
        weights = network.get_weights()
        prior = cls(*weights[:-2], weights[-2].reshape(-1, *shape), weights[-1].reshape(shape))
        seen_by_none = _Draws(batches.beside(moments[held_out], held_out, _BATCH, shuffle=False), encoded)
        gains = [
            ops.convert_to_numpy(prior.log_density(latents, features)) + 0.5 * np.sum(latents**2, axis=1)
            for features, latents in (seen_by_none[i] for i in range(len(seen_by_none)))
        ]
        prior.gain = float(np.mean(np.concatenate(gains)))
        return prior

    def draw(self, noise: Tensor, choice: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Latents `(rows, latent_dim)`, as in `LatentPrior.draw`; the condition has `tokens` and `mask` of captions."""
        log_weights, means, log_deviations = self._mixture(condition)
        bounds = ops.cumsum(ops.exp(log_weights), axis=1)[:, :-1]
        chosen = ops.one_hot(chosen_components(choice, bounds), means.shape[1], dtype="float32")[..., None]
        return ops.sum(chosen * means, axis=1) + ops.exp(ops.sum(chosen * log_deviations, axis=1)) * noise

    def log_density(self, latents: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """As in `LatentPrior`."""
        return _log_density(self._mixture(condition), latents)

    def _mixture(self, condition):
        # Another text encoder may give fewer or more tokens.
        missing = [[0, 0], [0, self.length]]
        inputs = {
            "tokens": ops.pad(ops.cast(condition["tokens"], "float32"), [*missing, [0, 0]])[:, : self.length],
            "mask": ops.pad(ops.cast(condition["mask"], "float32"), missing)[:, : self.length],
        }
        # The weights are constants of the graph.
        *hidden, kernel, bias = self.weights
        weights = [ops.convert_to_tensor(each) for each in (*hidden, kernel.reshape(len(kernel), -1), bias.reshape(-1))]
        others = [ops.convert_to_tensor(each) for each in self.network.non_trainable_variables]
        outputs, _ = self.network.stateless_call(weights, others, inputs, training=False)
        return _parts(ops.reshape(outputs, (-1, *bias.shape))[:, 1:])

    # === On disk ===
    def save(self, store: dict) -> None:
        """Writes the prior into the store of `save_own_variables`."""
        for number, weight in enumerate(self.weights):
            store[f"text_prior_{number}"] = weight

    @classmethod
    def load(cls, store: dict) -> TextPrior | None:
        """Takes the prior out of a dict of arrays; None if there is no prior in it."""
        names = sorted(name for name in store if name.startswith("text_prior_"))
        return cls(*(store.pop(name) for name in names)) if names else None


def fit_text_prior(
    model: Any,
    x: Any,
    y: Any,
    components: int,
    steps: int,
    seed: int,
    batch_size: int = 64,
    caption_cache: Any = None,
    verbose: Verbose = "auto",
    value_range: ValueRange = None,
) -> TextPrior:
    """Fits the `TextPrior` of a `TextToImage` with an encoder to captioned images; see `TextToImage.fit_prior`."""
    owner = f"{type(model).__name__}.fit_prior"
    if model.posterior is None:
        raise TypeError(
            f"{owner}: it needs a VAE, which finds the latents of images; this model is a {model.recipe.upper()}."
        )
    if model.text_encoder.trainable:
        raise ValueError(f"{owner}: the text encoder must be frozen; this one is trainable.")
    seed = checks.integer(owner, "seed", seed, least=None)
    options = caption_cache, value_range, verbose
    batches, found_range = model.image_input.opened_arrays(owner, x, y, batch_size, *options)
    progress, moments = Progress(len(batches), "batch", verbose), []

    def posterior_moments(inputs):
        """Means and log-variances of the latents of captioned images, side by side."""
        images, features = split_batch(inputs)
        images = model.space.encode(pixels.in_network_range(images))
        found = model.posterior.infer(images, model.condition(features))
        return ops.concatenate(found[:2], axis=-1)

    for number in range(len(batches)):
        batch = batches[number]
        batch["images"] = pixels.NetworkImages(batch["images"], found_range)[:]
        moments.append(model.graphs.in_batches(posterior_moments, batch, batch_size, verbose=0))
        progress.add(1)
    encoded = model.image_input.encoded
    return TextPrior.fit(owner, batches, encoded, np.concatenate(moments), components, steps, seed, verbose)


class _Draws(keras.utils.PyDataset):
    """Batches of standardized features and draws from q(z|x, c); `batches` has the moments of q as its images."""

    def __init__(self, batches, encoded):
        super().__init__()
        self.batches, self.encoded = batches, encoded

    def __len__(self):
        return len(self.batches)

    def on_epoch_begin(self):
        self.batches.on_epoch_begin()

    def __getitem__(self, index):
        batch = self.batches[index]
        means, log_variances = np.split(batch.pop("images"), 2, axis=1)
        # Keras asks for batches ahead of time, so the draws depend only on which batch it is.
        random = np.random.default_rng([self.batches.seed, self.batches.steps_done(), index])
        latents = means + np.exp(0.5 * log_variances) * random.normal(size=means.shape)
        features = self.encoded(batch)
        features = {"tokens": features["tokens"], "mask": ops.cast(features["mask"], "float32")}
        return {name: ops.convert_to_numpy(each) for name, each in features.items()}, latents.astype("float32")


def _network(length, token_dim, outputs, random=None):
    """The network from `tokens` `(rows, length, token_dim)` and `mask` to outputs; `random` draws its first weights."""
    random = random or np.random.default_rng(0)
    seeds = iter(int(number) for number in random.integers(2**31, size=7))

    def dense(units, x, activation=None):
        initializer = keras.initializers.GlorotUniform(next(seeds))
        return layers.Dense(units, activation, kernel_initializer=initializer, dtype="float32")(x)

    tokens = keras.Input((length, token_dim), name="tokens")
    mask = keras.Input((length,), name="mask")
    x = layers.GaussianNoise(_FEATURE_NOISE, seed=next(seeds), dtype="float32")(tokens)
    x = dense(_TOKEN_WIDTH, x) * ops.expand_dims(mask, -1)
    x = ops.reshape(x, (-1, length * _TOKEN_WIDTH))
    for _ in range(2):
        x = layers.Dropout(_DROPOUT, seed=next(seeds), dtype="float32")(dense(_WIDTH, x, "silu"))
    return keras.Model({"tokens": tokens, "mask": mask}, dense(outputs, x), dtype="float32")


def _parts(outputs):
    """`(log-weights, means, log-deviations)` from outputs `(rows, components, 1 + 2 latent_dim)`."""
    latent_dim = outputs.shape[-1] // 2
    log_deviations = ops.clip(outputs[..., 1 + latent_dim :], *_LOG_DEVIATIONS)
    return ops.log_softmax(outputs[..., 0], axis=-1), outputs[..., 1 : 1 + latent_dim], log_deviations


def _log_density(parts, latents):
    log_weights, means, log_deviations = parts
    distances = 0.5 * ops.square((ops.convert_to_tensor(latents)[:, None, :] - means) * ops.exp(-log_deviations))
    return ops.logsumexp(log_weights - ops.sum(distances + log_deviations, axis=-1), axis=-1)
