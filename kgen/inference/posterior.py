"""Uses of a VAE's q(z|x): latents of images, and bounds of their likelihood."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from kgen import checks, losses
from kgen.inference.classify import classifier_probabilities
from kgen.inputs import pixels
from kgen.inputs.class_labels import label_condition
from kgen.networks import ladder
from kgen.networks.interface import outputs_of
from kgen.progress import Progress
from kgen.training import image_noise
from kgen.types import Array, Tensor, ValueRange, Verbose

# Draws whose weights are kept at once, so that memory grows neither with the images nor with the draws.
_HELD = 2**14
# Images that are converted and numbered at once.
_BLOCK = 256
# An odd constant near 2^32 / golden ratio keeps the draws of neighbouring seeds apart.
_SPREAD = 2654435769


class Posterior:
    """What a model with an encoder says about images; `VAE` and `TextToImage` each have one of these.

    It uses the model's `encoder`, `average` (the averaged decoder, as in `generate`), `reconstruction`, `latent_dim`,
    `num_classes`, `discriminator`, `image_input`, `sampler` and `graphs`.

    Args:
        model: a model with an encoder.

    Example:

    ```python
    mean, log_variance, latents, outputs = vae.posterior.infer(images, condition={})
    ```
    """

    def __init__(self, model: Any):
        self.model = model
        self.owner = type(model).__name__

    # === Graphs, row by row ===
    def infer(
        self, images: Tensor, condition: dict[str, Tensor], sample: Callable | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means, log-variances and latents `(batch, latent_dim)`, and the averaged decoder's outputs for the latents.

        Args:
            images: in the model's space, such as pixels in [-1, 1].
            condition: dict of the condition, such as `pooled`.
            sample: function from means and log-variances to latents, called once per level, coarse to fine; None takes
                the means.
        """
        decoder = self.model.average.network
        *inferred, scales = ladder.infer(self.model.encoder, decoder, images, condition, sample, False)
        return *inferred, scales[-1]

    def reconstructed(self, images: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Reconstructions of images by the averaged decoder, from the means of q(z|x); all in the model's space."""
        return self.model.space.location(self.model.reconstruction, self.infer(images, condition)[-1])

    def posterior_means(self, inputs: dict[str, Tensor]) -> Tensor:
        """Latents `(N, latent_dim)`: the graph of `encode`."""
        return self._inferred(inputs)[2]

    def posterior_draws(self, inputs: dict[str, Tensor]) -> Tensor:
        """Like `posterior_means`, but drawn from q(z|x)."""
        return self._inferred(inputs, self._draws(inputs))[2]

    def reconstructions(self, inputs: dict[str, Tensor]) -> Tensor:
        """uint8 images: the graph of `reconstruct`."""
        images = self._in_space(inputs["images"])
        return pixels.to_uint8(self.model.space.decode(self.reconstructed(images, _condition(inputs))))

    def bounds(self, inputs: dict[str, Tensor]) -> Tensor:
        """For one draw from q(z|x) its log importance weight and its term of the ELBO, `(N, 2)`."""
        mean, log_variance, latents, outputs = self._inferred(inputs, self._draws(inputs))
        likelihood = -self.model.reconstruction.loss(self._in_space(inputs["images"]), outputs)
        # Both densities without their common constant.
        posterior = -0.5 * ops.sum(ops.square(latents - mean) * ops.exp(-log_variance) + log_variance, axis=-1)
        sampler = self.model.sampler
        weight = likelihood + sampler.log_prior(latents, inputs) - posterior
        bound = weight if sampler.prior is not None else likelihood - losses.gaussian_kl(mean, log_variance)
        return ops.stack([weight, bound], axis=-1)

    def _inferred(self, inputs, sample=None):
        return self.infer(self._in_space(inputs["images"]), _condition(inputs), sample)

    def _in_space(self, images):
        return self.model.space.encode(pixels.in_network_range(images))

    def _draws(self, inputs):
        return _Draws(image_noise(inputs["seeds"], inputs["indices"], self.model.latent_dim))

    # === What a user asks for ===
    def inputs(
        self,
        asked: str,
        images: Any,
        labels: Any,
        seed: int = 0,
        conditional: bool = True,
        value_range: ValueRange = None,
    ) -> dict[str, Any]:
        """Checks images and labels and makes the inputs of the graphs above; `asked` is the method, for errors."""
        owner = f"{self.owner}.{asked}"
        images = self.model.image_input.images(images, owner, value_range=value_range)
        checks.seed(owner, seed, optional=False)
        condition = label_condition(owner, self.model.num_classes, labels, len(images)) if conditional else {}
        seeds = np.full(len(images), seed, "int32")
        return {"images": images, "seeds": seeds, "indices": image_numbers(images), **condition}

    def encode(
        self, images: Any, labels: Any, seed: int | None, batch_size: int, verbose: Verbose, value_range: ValueRange
    ) -> Array:
        """Latents of images: means of q(z|x), or with a seed draws; see `VAE.encode`."""
        inputs = self.inputs("encode", images, labels, 0 if seed is None else seed, value_range=value_range)
        graph = self.posterior_means if seed is None else self.posterior_draws
        return self.model.graphs.in_batches(graph, inputs, batch_size, verbose)

    def reconstruct(
        self, images: Any, labels: Any, batch_size: int, verbose: Verbose, value_range: ValueRange
    ) -> Array:
        """Reconstructions by the averaged decoder, uint8; see `VAE.reconstruct`."""
        inputs = self.inputs("reconstruct", images, labels, value_range=value_range)
        return self.model.graphs.in_batches(self.reconstructions, inputs, batch_size, verbose)

    def bounds_of(
        self,
        asked: str,
        images: Any,
        labels: Any,
        samples: int,
        seed: int,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """Two bounds of log p(x) for each image, float64 `(N, 2)` in nats; see `importance_bounds`."""
        samples = checks.integer(f"{self.owner}.{asked}", "samples", samples)
        inputs = self.inputs(asked, images, labels, seed, value_range=value_range)
        return self.importance_bounds(inputs, samples, batch_size, Progress(len(images), verbose=verbose))

    def importance_bounds(self, inputs: dict, samples: int, batch_size: int, progress: Progress) -> Array:
        """The importance-weighted bound from all draws and the mean ELBO, float64 `(N, 2)` in nats.

        Args:
            inputs: from the method `inputs`.
            samples: draws from q(z|x) for each image.
            batch_size: draws computed at once.
            progress: counts images.
        """
        count, at_once = len(inputs["images"]), max(1, _HELD // samples)
        results = np.empty((count, 2))
        for start in range(0, count, at_once):
            block = {key: value[start : start + at_once] for key, value in inputs.items()}
            size = len(block["images"])
            repeated: dict[str, Any] = {key: _Repeated(value, samples) for key, value in block.items()}
            repeated["seeds"] = _seeds_of_draws(repeated["seeds"][:], samples)
            both = self.model.graphs.in_batches(self.bounds, repeated, batch_size, verbose=0)
            both = both.astype("float64").reshape(size, samples, 2)
            results[start : start + size, 0] = np.logaddexp.reduce(both[..., 0], axis=1) - np.log(samples)
            results[start : start + size, 1] = both[..., 1].mean(axis=1)
            progress.add(size)
        return results

    def class_probabilities(
        self,
        images: Any,
        samples: int | None,
        class_shares: Any,
        seed: int,
        batch_size: int,
        verbose: Verbose,
        value_range: ValueRange = None,
    ) -> Array:
        """p(label|x) by Bayes' rule or from an auxiliary classifier, float32 `(N, num_classes)`; see `VAE.classify`."""
        owner, num_classes, discriminator = f"{self.owner}.classify", self.model.num_classes, self.model.discriminator
        if num_classes is None and discriminator is None:
            raise ValueError(f"{owner}: this model has no classes; build it with num_classes.")
        has_classifier = discriminator is not None and "labels" in outputs_of(discriminator)
        if num_classes is None or (has_classifier and samples is None and class_shares is None):
            return classifier_probabilities(self.model, images, batch_size, verbose, value_range)
        samples = 1 if samples is None else checks.integer(owner, "samples", samples)
        shares = np.ones(num_classes) if class_shares is None else np.asarray(class_shares, "float64")
        if shares.shape != (num_classes,) or not (shares >= 0).all() or not 0 < shares.sum() < np.inf:
            raise ValueError(
                f"{owner}: class_shares must be {num_classes} numbers of at least 0, not all of them 0; got "
                f"{class_shares!r}."
            )
        inputs = self.inputs("classify", images, None, seed, conditional=False, value_range=value_range)
        count, classes = len(images), np.eye(num_classes, dtype="float32")
        progress = Progress(count * num_classes, verbose=verbose)
        logits = np.empty((count, num_classes))
        for label in range(num_classes):
            given = {**inputs, "pooled": np.repeat(classes[label : label + 1], count, axis=0)}
            logits[:, label] = self.importance_bounds(given, samples, batch_size, progress)[:, 0]
        with np.errstate(divide="ignore"):
            logits += np.log(shares)
        logits = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (logits / logits.sum(axis=1, keepdims=True)).astype("float32")


def image_numbers(images: Any) -> Array:
    """A number for each image, int32 `(N,)`, which depends neither on the other images nor on the value range.

    Args:
        images: `NetworkImages`, or an array that is uint8 or in [-1, 1].
    """
    numbers: list[int] = []
    for start in range(0, len(images), _BLOCK):
        block = ops.convert_to_numpy(images[start : start + _BLOCK])
        if block.dtype != "uint8":
            block = ops.convert_to_numpy(pixels.to_uint8(block))
        numbers += [zlib.crc32(np.ascontiguousarray(image).data) for image in block]
    return np.array(numbers, "uint32").view("int32")


def _condition(inputs):
    return {key: value for key, value in inputs.items() if key not in ("images", "seeds", "indices")}


def _seeds_of_draws(seeds, samples):
    # Wraps around in 32 bits, and keeps apart the draws of different seeds.
    numbers = np.tile(np.arange(samples, dtype="uint32"), len(seeds) // samples)
    return (seeds.astype("uint32") * np.uint32(_SPREAD) + numbers).view("int32")


class _Draws:
    """Draws from one normal distribution after another, with given noise `(rows, latent_dim)`.

    It replaces `GaussianSampling` where the noise must not come from a stateful generator.
    """

    def __init__(self, noise):
        self.noise = noise
        self.used = 0

    def __call__(self, mean, log_variance):
        size = int(np.prod(mean.shape[1:]))
        noise = self.noise[:, self.used : self.used + size]
        self.used += size
        return mean + ops.exp(0.5 * log_variance) * ops.reshape(noise, (-1, *mean.shape[1:]))


class _Repeated:
    """An array with each row repeated several times; it computes only the rows that are read."""

    def __init__(self, array, times):
        self.array, self.times = array, times

    def __len__(self):
        return len(self.array) * self.times

    def __getitem__(self, rows):
        wanted = np.arange(*rows.indices(len(self))) // self.times
        if not len(wanted):
            return self.array[0:0]
        part = self.array[int(wanted[0]) : int(wanted[-1]) + 1]
        return part[wanted - wanted[0]]
