"""Latents that are code words, and which of them a caption's images have."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from kgen import checks
from kgen.portable import largest
from kgen.serializable import serializable
from kgen.training import MovingAverage
from kgen.types import Tensor

# Units of either hidden layer.
_WIDTH = 256
# Of the relaxed draws that gradients go through.
_TEMPERATURE = 0.7
# Standard normal numbers beyond this have no probability left in float32.
_FAR = 4.0


@serializable
class CodePrior(keras.layers.Layer):
    """p(k|c) = prod_j p(k_j|c): K code words of V values each, independent given a caption, learned with the model.

    The latents of an image are one value for each code word, one-hot, side by side. What a caption leaves out, such as
    the colour of the hair, the code words say; where it has several values, each of them is drawn whole, and nothing
    in between. The prior reads the caption too: code words that repeat what it says are drawn to agree with it.

    It is a discrete variational autoencoder [Rolfe 2017, "Discrete variational autoencoders"; Jang et al. 2017,
    "Categorical reparameterization with Gumbel-softmax"] whose prior is conditional and learned [Sohn et al. 2015,
    "Learning structured output representation using deep conditional generative models"].

    Args:
        words: K, how many code words.
        values: V, of each.
        pooled_dim: length of the pooled features of a caption.
        ema_momentum: of the average of the weights, which is what `draw` uses, in [0, 1).
        **kwargs: `name`.

    Raises:
        ValueError: for numbers below 2.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, codes=(16, 8))
    model.codes.log_probabilities(condition).shape      # (batch, 16, 8)
    ```
    """

    def __init__(self, words: int, values: int, pooled_dim: int, ema_momentum: float = 0.998, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.words = checks.integer("CodePrior", "words", words)
        self.values = checks.integer("CodePrior", "values", values, least=2)
        self.pooled_dim = pooled_dim
        self.ema_momentum = ema_momentum
        pooled = x = keras.Input((pooled_dim,), name="pooled")
        for _ in range(2):
            x = layers.Dense(_WIDTH, "silu", dtype="float32")(x)
        x = layers.Dense(words * values, kernel_initializer="zeros", dtype="float32")(x)
        self.network = keras.Model({"pooled": pooled}, x, name="code_prior")
        self.average = MovingAverage(self.network, ema_momentum)
        self.built = True

    @classmethod
    def of(cls, owner: str, codes: Any, pooled_dim: int, ema_momentum: float) -> CodePrior:
        """A prior as it is, or one of `(words, values)`.

        Raises:
            ValueError: for something else, or numbers out of range; errors begin with `owner`.
        """
        if isinstance(codes, cls):
            return codes
        if not isinstance(codes, (tuple, list)) or len(codes) != 2:
            raise ValueError(f"{owner}: codes must be (words, values), such as (16, 8); got {codes!r}.")
        return cls(codes[0], codes[1], pooled_dim, ema_momentum)

    # === In a training step ===
    def sample(self, logits: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """One-hot draws `(batch, K V)` of logits `(batch, K V)`, with the gradient of relaxed ones."""
        logits = self._by_word(logits)
        noise = keras.random.uniform(ops.shape(logits), 1e-6, 1.0 - 1e-6, dtype="float32", seed=seed)
        soft = ops.softmax((logits - ops.log(-ops.log(noise))) / _TEMPERATURE, axis=-1)
        hard = ops.one_hot(ops.argmax(soft, axis=-1), self.values, dtype="float32")
        return self._flat(ops.stop_gradient(hard - soft) + soft)

    def divergence(self, logits: Tensor, condition: dict[str, Tensor], training: bool) -> Tensor:
        """KL(q(k_j|x, c) || p(k_j|c)) of each code word, `(batch, K)`, in nats."""
        log_posterior = ops.log_softmax(self._by_word(logits), axis=-1)
        difference = log_posterior - self.log_probabilities(condition, training)
        return ops.sum(ops.exp(log_posterior) * difference, axis=-1)

    def log_probabilities(self, condition: dict[str, Tensor], training: bool = False) -> Tensor:
        """The logarithms of p(k_j|c), `(batch, K, V)`; out of training by the averaged weights."""
        network = self.network if training else self.average.network
        return ops.log_softmax(self._by_word(network({"pooled": condition["pooled"]}, training=training)), axis=-1)

    # === As the prior of a sampler ===
    def draw(self, noise: Tensor, seeds: Any, indices: Any, condition: dict[str, Tensor]) -> Tensor:
        """One-hot code words `(rows, K V)` of standard normal noise `(rows, K V)`, as in `LatentPrior.draw`."""
        # P(noise below) is uniform; minus the logarithm of minus its logarithm is a Gumbel variable.
        uniform = 0.5 * (1.0 + ops.erf(ops.clip(noise, -_FAR, _FAR) / 2.0**0.5))
        gumbel = -ops.log(-ops.log(ops.clip(uniform, 1e-6, 1.0 - 1e-6)))
        scores = self.log_probabilities(condition) + self._by_word(gumbel)
        return self._flat(ops.one_hot(largest(scores), self.values, dtype="float32"))

    def log_density(self, latents: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """The logarithm of p(k|c) of one-hot code words, `(rows,)`."""
        return ops.sum(self._by_word(latents) * self.log_probabilities(condition), axis=(1, 2))

    def _by_word(self, flat):
        return ops.reshape(ops.cast(flat, "float32"), (-1, self.words, self.values))

    def _flat(self, by_word):
        return ops.reshape(by_word, (-1, self.words * self.values))
