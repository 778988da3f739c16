"""Latents that are code words, and their prior given a caption."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

from kgen import checks
from kgen.portable import largest
from kgen.serializable import serializable
from kgen.training import MovingAverage
from kgen.types import Tensor

# Units of the layer that reads the caption, and of both hidden layers of each word.
_WIDTH = 256
_UNITS = 64
# Temperature of the relaxed draws, which carry the gradients.
_TEMPERATURE = 0.7
# Standard normal numbers beyond this have no probability left in float32.
_FAR = 4.0


@serializable
class EarlierWords(keras.layers.Layer):
    """Tells each word about the words before it: the sum of a learned vector for the value of each earlier word.

    The output for word j is y_j = sum_{i < j} k_i W_ij, from one-hot words `(batch, K, V)` to `(batch, K, units)`
    [masked connections as in Germain et al. 2015, "MADE: masked autoencoder for distribution estimation"].

    Args:
        units: length of y_j.
        **kwargs: `name`, `dtype`.

    Example:

    ```python
    layer = kgen.sampling.code_prior.EarlierWords(8)
    layer(keras.ops.ones((1, 4, 3)))[0, 0]      # eight zeros: no word is before the first
    ```
    """

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.units = checks.integer("EarlierWords", "units", units)

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Makes weights for each pair of words; those from later words are never used."""
        _, words, values = input_shape
        initial = keras.initializers.RandomNormal(words**-0.5)
        self.kernel = self.add_weight(shape=(words, values, words, self.units), initializer=initial, name="kernel")

    def call(self, codes: Tensor) -> Tensor:
        """`(batch, K, units)` from words `(batch, K, V)`."""
        words = codes.shape[1]
        earlier = ops.cast(ops.triu(ops.ones((words, words)), k=1), self.compute_dtype)
        return ops.einsum("biv,ivju->bju", codes, self.kernel * earlier[:, None, :, None])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "units": self.units}


@serializable
class CodePrior(keras.layers.Layer):
    """p(k|c) = prod_j p(k_j | k_1 ... k_{j-1}, c): K code words with V values each, learned with the model.

    The latents of an image are one value for each code word, one-hot, side by side. Code words say what a caption
    leaves out, such as the colour of the hair; if several values are possible, one of them is drawn and never a mix.
    The prior reads the caption, so that code words which repeat the caption agree with it. It also reads the words
    drawn before, so that several words which describe something together agree with each other.

    The model is a discrete variational autoencoder [Rolfe 2017, "Discrete variational autoencoders"; Jang et al. 2017,
    "Categorical reparameterization with Gumbel-softmax"] with a learned conditional prior [Sohn et al. 2015, "Learning
    structured output representation using deep conditional generative models"].

    Args:
        words: K, how many code words.
        values: V, how many values each word has.
        pooled_dim: length of the pooled features of a caption.
        ema_momentum: momentum of the average of the weights, which `draw` uses, in [0, 1).
        **kwargs: `name`.

    Raises:
        ValueError: for no words, fewer than two values, or a momentum out of range.

    Example:

    ```python
    model = kgen.models.TextToImage(encoder, codes=(16, 8))
    model.codes.log_probabilities(codes, condition).shape       # (batch, 16, 8)
    ```
    """

    def __init__(self, words: int, values: int, pooled_dim: int, ema_momentum: float = 0.998, **kwargs: Any):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.words = checks.integer("CodePrior", "words", words)
        self.values = checks.integer("CodePrior", "values", values, least=2)
        self.pooled_dim = pooled_dim
        self.ema_momentum = ema_momentum
        codes, pooled = keras.Input((words, values), name="codes"), keras.Input((pooled_dim,), name="pooled")
        said = layers.Dense(_WIDTH, "silu", dtype="float32", name="caption")(pooled)
        said = layers.Dense(words * _UNITS, dtype="float32", name="said")(said)
        said = layers.Reshape((words, _UNITS), dtype="float32", name="said_to_word")(said)
        x = said + EarlierWords(_UNITS, dtype="float32", name="earlier")(codes)
        x = layers.Activation("silu", dtype="float32")(x)
        # A network for each word.
        by_word = {"bias_axes": "ko", "dtype": "float32"}
        x = layers.EinsumDense("bki,kio->bko", (words, _UNITS), "silu", name="hidden", **by_word)(x)
        last = {"kernel_initializer": "zeros", "name": "logits", **by_word}
        x = layers.EinsumDense("bki,kio->bko", (words, values), **last)(x)
        self.network = keras.Model({"codes": codes, "pooled": pooled}, x, name="code_prior")
        self.average = MovingAverage(self.network, ema_momentum)
        self.built = True

    @classmethod
    def of(cls, owner: str, codes: Any, pooled_dim: int, ema_momentum: float) -> CodePrior:
        """A new prior from `(words, values)`; a `CodePrior` is returned as it is.

        Raises:
            ValueError: for something else, or numbers out of range; messages begin with `owner`.
        """
        if isinstance(codes, cls):
            return codes
        if not isinstance(codes, (tuple, list)) or len(codes) != 2:
            raise ValueError(f"{owner}: codes must be (words, values), such as (16, 8); got {codes!r}.")
        return cls(codes[0], codes[1], pooled_dim, ema_momentum)

    # === In a training step ===
    def sample(self, logits: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """One-hot draws `(batch, K V)` from logits `(batch, K V)`, with the gradient of relaxed draws."""
        logits = self._by_word(logits)
        noise = keras.random.uniform(ops.shape(logits), 1e-6, 1.0 - 1e-6, dtype="float32", seed=seed)
        soft = ops.softmax((logits - ops.log(-ops.log(noise))) / _TEMPERATURE, axis=-1)
        hard = ops.one_hot(ops.argmax(soft, axis=-1), self.values, dtype="float32")
        return self._flat(ops.stop_gradient(hard - soft) + soft)

    def likeliest(self, logits: Tensor) -> Tensor:
        """The likeliest value of each word, one-hot `(batch, K V)`, from logits `(batch, K V)`."""
        return self._flat(ops.one_hot(ops.argmax(self._by_word(logits), axis=-1), self.values, dtype="float32"))

    def divergence(self, logits: Tensor, codes: Tensor, condition: dict[str, Tensor], training: bool) -> Tensor:
        """KL(q(k_j|x, c) || p(k_j | k_1 ... k_{j-1}, c)) of each code word, `(batch, K)`, in nats.

        Args:
            logits: logits of q, `(batch, K V)`.
            codes: a draw from q, `(batch, K V)`; the prior of each word sees the words before it.
            condition: dict with the `pooled` features of captions.
            training: whether to use the trained weights or their average.
        """
        log_posterior = ops.log_softmax(self._by_word(logits), axis=-1)
        difference = log_posterior - self.log_probabilities(ops.stop_gradient(codes), condition, training)
        return ops.sum(ops.exp(log_posterior) * difference, axis=-1)

    def log_probabilities(self, codes: Tensor, condition: dict[str, Tensor], training: bool = False) -> Tensor:
        """Log p(k_j | k_1 ... k_{j-1}, c), `(batch, K, V)`; outside training by the averaged weights."""
        network = self.network if training else self.average.network
        inputs = {"codes": self._by_word(codes), "pooled": condition["pooled"]}
        return ops.log_softmax(network(inputs, training=training), axis=-1)

    # === As the prior of a sampler ===
    def draw(self, noise: Tensor, choice: Any, condition: dict[str, Tensor]) -> Tensor:
        """One-hot code words `(rows, K V)` from standard normal noise `(rows, K V)`; nothing depends on `choice`."""
        # The distribution function of noise is uniform; -log(-log(uniform)) is a Gumbel variable.
        uniform = 0.5 * (1.0 + ops.erf(ops.clip(noise, -_FAR, _FAR) / 2.0**0.5))
        gumbel = -ops.log(-ops.log(ops.clip(uniform, 1e-6, 1.0 - 1e-6)))
        gumbel, network = self._by_word(gumbel), self.average.network
        caption, said, to_word, earlier, hidden, logits = (
            network.get_layer(name) for name in ("caption", "said", "said_to_word", "earlier", "hidden", "logits")
        )
        said_to = to_word(said(caption(ops.cast(condition["pooled"], "float32"))))
        drawn: list[Tensor] = []
        # Runs only the part of one word at a time; the whole network for each word would take several times longer.
        for word in range(self.words):
            x = said_to[:, word]
            if drawn:
                kernel = ops.reshape(earlier.kernel[:word, :, word], (word * self.values, _UNITS))
                x = x + ops.matmul(ops.concatenate(drawn, axis=-1), kernel)
            x = ops.silu(ops.matmul(ops.silu(x), hidden.kernel[word]) + hidden.bias[word])
            scores = ops.matmul(x, logits.kernel[word]) + logits.bias[word] + gumbel[:, word]
            drawn.append(ops.one_hot(largest(scores), self.values, dtype="float32"))
        return ops.concatenate(drawn, axis=-1)

    def log_density(self, latents: Tensor, condition: dict[str, Tensor], training: bool = False) -> Tensor:
        """Log p(k|c) of one-hot code words, `(rows,)`."""
        return ops.sum(self._by_word(latents) * self.log_probabilities(latents, condition, training), axis=(1, 2))

    def _by_word(self, flat):
        return ops.reshape(ops.cast(flat, "float32"), (-1, self.words, self.values))

    def _flat(self, by_word):
        return ops.reshape(by_word, (-1, self.words * self.values))
