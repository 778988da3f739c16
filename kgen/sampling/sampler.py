"""From seeds to images: latents, the learned prior, the averaged network, post-processing."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs import pixels
from kgen.inputs.class_labels import label_condition
from kgen.networks.interface import feed
from kgen.sampling.latent_prior import LatentPrior, component_noise
from kgen.sampling.latents import seeds_and_indices, spherical, truncated, truncation_inputs
from kgen.sampling.text_prior import TextPrior
from kgen.training import backend, image_noise
from kgen.types import Array, ImageShape, Tensor, Verbose

_OWN_INPUTS = ("latents", "seeds", "indices", "truncation")


class Sampler:
    """How a model generates; `GAN`, `VAE` and `TextToImage` each have one of these.

    The model has `generator` and its `average`, `latent_dim`, `image_shape`, `num_classes`, `postprocessing`, the
    `space` that its networks work in, and `reconstruction`, what the generator's outputs mean; None if they are already
    in that space. A prior learned after training is kept here; it is saved with the model, and training drops it.

    Args:
        model: the model that generates.

    Example:

    ```python
    latents = gan.sampler.latents({"seeds": seeds, "indices": indices}, condition={})
    images = gan.space.decode(gan.sampler.synthesize(latents, condition={}))      # in [-1, 1]
    ```
    """

    def __init__(self, model: Any):
        self.model = model
        self.owner = type(model).__name__
        # A prior that learns with the model is not dropped by more training.
        self.prior: Any = getattr(model, "codes", None)
        self.learns_prior = self.prior is not None

    @property
    def image_shape(self) -> ImageShape:
        """`(height, width, channels)` of generated images: the model's `image_shape` after post-processing."""
        shape = (None, *self.model.image_shape)
        for layer in self.model.postprocessing:
            shape = tuple(layer.compute_output_shape(shape))
        return shape[1:]

    # === In a training step ===
    def noise(self, like: Tensor, training: bool) -> Tensor:
        """Standard normal noise `(batch, latent_dim)`, a row for each row of `like`."""
        model = self.model
        shape = ops.shape(like)[0], model.latent_dim
        return backend.like_batch(keras.random.normal(shape, dtype="float32", seed=model.seeds(training)))

    def generated(self, like: Tensor, condition: dict[str, Tensor], training: bool) -> Tensor:
        """Outputs of the network in training for random latents, one for each row of `like`."""
        noise = self.noise(like, training)
        if self.learns_prior:
            noise = ops.stop_gradient(self.prior.draw(noise, None, condition))
        return self._made(feed(self.model.generator, "latents", noise, condition, training))

    def counterparts(self, images: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """For metrics: one image drawn from the prior for each given image, with its condition and averaged weights."""
        latents = self.noise(images, training=False)
        if self.prior is not None:
            seeds = keras.random.randint((ops.shape(images)[0],), 0, 2**31 - 1, seed=self.model.seeds(training=False))
            latents = self.prior.draw(latents, component_noise(seeds, ops.zeros_like(seeds)), condition)
        return self.synthesize(latents, condition)

    # === Graphs, row by row ===
    def synthesize(self, latents: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """The averaged network's outputs for latents, in the model's space: one forward pass."""
        return self._made(feed(self.model.average.network, "latents", latents, condition, False))

    def _made(self, outputs):
        # Always float32, whatever dtype the network computes in.
        outputs, reconstruction = ops.cast(outputs, "float32"), self.model.reconstruction
        return outputs if reconstruction is None else self.model.space.location(reconstruction, outputs)

    def draw(self, inputs: dict[str, Tensor]) -> Tensor:
        """uint8 images from latents, or seeds and indices, and a condition: the graph of `generate` and `decode`.

        Args:
            inputs: dict of `latents` `(N, latent_dim)`, or of `seeds` and `indices`, int32 `(N,)`; perhaps `truncation`
                `(N,)`; and the parts of a condition.
        """
        condition = self.condition(inputs)
        return self.finished(self.synthesize(self.latents(inputs, condition), condition))

    def condition(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The parts of a condition among the inputs of a graph."""
        return {key: value for key, value in inputs.items() if key not in _OWN_INPUTS}

    def made(self, inputs: dict[str, Tensor]) -> Tensor:
        """Like `draw`, from `latents` and a condition, but before decoding and post-processing."""
        return self.synthesize(inputs["latents"], self.condition(inputs))

    def latents(self, inputs: dict[str, Tensor], condition: dict[str, Tensor]) -> Tensor:
        """Latents `(N, latent_dim)`: given, or from seeds and indices; truncated if `inputs` has `truncation`."""
        given = "latents" in inputs
        latents = inputs["latents"] if given else image_noise(inputs["seeds"], inputs["indices"], self.model.latent_dim)
        if "truncation" in inputs:
            latents = truncated(latents, ops.expand_dims(inputs["truncation"], 1))
        return latents if given else self.from_noise(latents, inputs["seeds"], inputs["indices"], condition)

    def from_noise(self, noise: Tensor, seeds: Tensor, indices: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Latents of the learned prior, from standard normal noise; without a learned prior the noise itself."""
        return noise if self.prior is None else self.prior.draw(noise, component_noise(seeds, indices), condition)

    def finished(self, made: Tensor) -> Tensor:
        """uint8 images from network outputs: decoded and post-processed."""
        images = self.model.space.decode(made)
        if self.model.postprocessing:
            images = ops.clip(0.5 * ops.cast(images, "float32") + 0.5, 0.0, 1.0)
            for layer in self.model.postprocessing:
                images = layer(images, training=False)
            images = 2.0 * ops.cast(images, "float32") - 1.0
        return pixels.to_uint8(images)

    def log_prior(self, latents: Tensor, condition: dict[str, Tensor]) -> Tensor:
        """Log p(z) up to a constant: log p(z) + log(2 pi) latent_dim / 2, `(N,)`."""
        if self.prior is not None:
            return self.prior.log_density(latents, condition)
        return -0.5 * ops.sum(ops.square(latents), axis=-1)

    # === What a user asks for ===
    def generate(
        self, num_images: Any, seed: Any, truncation: Any, batch_size: int, verbose: Verbose, labels: Any = None
    ) -> Array:
        """Implements `generate` for models with or without classes; see `GAN.generate`."""
        owner, num_classes = f"{self.owner}.generate", self.model.num_classes
        condition: dict[str, Array] = {}
        if labels is None:
            if num_classes is not None:
                raise ValueError(
                    f"{owner}: this model has {num_classes} classes; choose them, for example generate(labels=[0, 1])."
                )
            seeds, indices = seeds_and_indices(owner, seed, checks.integer(owner, "num_images", num_images))
        else:
            num_images = checks.integer(owner, "num_images", num_images)
            labels = np.atleast_1d(np.asarray(labels))
            if labels.size == 0:
                raise ValueError(f"{owner}: the list of labels is empty.")
            condition = label_condition(owner, num_classes, labels, labels.size)
            condition = {name: np.repeat(rows, num_images, axis=0) for name, rows in condition.items()}
            seeds, indices = seeds_and_indices(owner, seed, len(labels), num_images)
        condition.update(truncation_inputs(owner, truncation, len(seeds)))
        return self.run({"seeds": seeds, "indices": indices, **condition}, batch_size, verbose)

    def interpolate(self, first_seed: int, second_seed: int, steps: int, label: int | None) -> Array:
        """Implements `interpolate` for models with or without classes; see `GAN.interpolate`."""
        owner = f"{self.owner}.interpolate"
        steps = checks.integer(owner, "steps", steps, least=2)
        seeds, _ = seeds_and_indices(owner, [first_seed, second_seed], 2)
        labels = None if label is None else np.full(steps, label)
        condition = label_condition(owner, self.model.num_classes, labels, steps)
        indices = np.zeros(2, "int32")
        noise = image_noise(seeds, indices, self.model.latent_dim)
        ends = self.from_noise(noise, seeds, indices, {key: value[:2] for key, value in condition.items()})
        first, last = ops.convert_to_numpy(ends)
        latents = spherical(first, last, np.linspace(0.0, 1.0, steps)).astype("float32")
        return self.run({"latents": latents, **condition})

    def decode(self, latents: Any, labels: Any, batch_size: int, verbose: Verbose) -> Array:
        """Implements `decode` for models with or without classes; see `GAN.decode`."""
        owner = f"{self.owner}.decode"
        latents = checks.floats(owner, "latents", latents, (None, self.model.latent_dim))
        condition = label_condition(owner, self.model.num_classes, labels, len(latents))
        return self.run({"latents": latents, **condition}, batch_size, verbose)

    def run(
        self, inputs: dict[str, Any], batch_size: int = 64, verbose: Verbose = "auto", function: Any = None
    ) -> Array:
        """uint8 images `(N, height, width, channels)` from long arrays, by `draw` or another graph of this sampler."""
        if not self.model.trained:
            warnings.warn(f"{self.owner} has not been trained: expect noise.", stacklevel=4)
        return self.model.graphs.in_batches(function or self.draw, inputs, batch_size, verbose)

    # === In a SavedModel ===
    def served_layers(self) -> list:
        """The averaged network; the space and the prior, if they are layers."""
        return [self.model.average, *self.other_layers()]

    def other_layers(self) -> list:
        """The space and the prior, if they are layers."""
        return [part for part in (self.model.space, self.prior) if isinstance(part, keras.layers.Layer)]

    def serving_signature(self) -> list:
        """`seeds`, int32 `(N,)`, and for a model with classes `labels`, int32 `(N,)`."""
        names = ["seeds"] if self.model.num_classes is None else ["seeds", "labels"]
        return [keras.InputSpec("int32", (None,), name=name) for name in names]

    def serve(self, seeds: Tensor, asked: Tensor | None = None) -> dict[str, Tensor]:
        """`{"images"}`, as from `generate(N, seed=seeds)`, or with classes `generate(labels=asked, seed=seeds)`."""
        condition = {}
        if asked is not None:
            condition["pooled"] = ops.one_hot(asked, self.model.num_classes, dtype="float32")
        return {"images": self.draw({"seeds": seeds, "indices": ops.zeros_like(seeds), **condition})}

    # === In a file of another format ===
    def tensor_signature(self) -> dict[str, keras.InputSpec]:
        """`latents`; with a mixture as learned prior `choice`; and for a model with classes `labels`.

        `latents` `(N, latent_dim)` and `choice` `(N,)` are standard normal numbers, float32; labels are int32 `(N,)`.
        """
        specs = {"latents": keras.InputSpec(shape=(None, self.model.latent_dim), dtype="float32", name="latents")}
        if isinstance(self.prior, (LatentPrior, TextPrior)):
            specs["choice"] = keras.InputSpec(shape=(None,), dtype="float32", name="choice")
        if self.model.num_classes is not None:
            specs["labels"] = keras.InputSpec(shape=(None,), dtype="int32", name="labels")
        return specs

    def serve_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"images"}`, uint8, from the inputs of `tensor_signature`."""
        condition = {}
        if self.model.num_classes is not None:
            condition["pooled"] = ops.one_hot(inputs["labels"], self.model.num_classes, dtype="float32")
        return {"images": self._from_normal(inputs, condition)}

    def _from_normal(self, inputs, condition):
        latents = inputs["latents"]
        if self.prior is not None:
            latents = self.prior.draw(latents, inputs.get("choice"), condition)
        return self.finished(self.synthesize(latents, condition))

    # === The learned prior is state ===
    def constants(self) -> list:
        """What graphs contain that is not a variable: the learned prior, and the filters of finished images."""
        return [self.prior, *self.model.postprocessing]

    def before_training(self) -> None:
        """Drops a prior learned after training, because more training moves the latents that it was fitted to."""
        if self.prior is not None and not self.learns_prior:
            warnings.warn(
                f"{self.owner}: training changes the latents, so the prior from fit_prior is dropped.", stacklevel=4
            )
            self.prior = None

    def save(self, store: Any) -> None:
        """Writes the learned prior into the store of `save_own_variables`."""
        if self.prior is not None and not self.learns_prior:
            self.prior.save(store)

    def load(self, store: dict) -> None:
        """Takes the learned prior out of a dict of arrays; it stays None if none was saved."""
        if not self.learns_prior:
            self.prior = (LatentPrior.load(store) or TextPrior.load(store)) if store else None


def checked_postprocessing(owner: str, layers: Any) -> list:
    """The checked list of post-processing layers, set to not trainable.

    Args:
        owner: class name that errors begin with.
        layers: from images in [0, 1] to images in [0, 1] with as many channels: those of `kgen.layers` (`Upscale`,
            `Sharpen`, `Saturation`, `ColorBalance`), `keras.layers.AutoContrast(value_range=(0, 1))`, or a network.

    Raises:
        TypeError: if an entry is not a layer.
    """
    for layer in layers:
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"{owner}: postprocessing must be a list of layers; got {type(layer).__name__} in it.")
        layer.trainable = False
    return list(layers)
