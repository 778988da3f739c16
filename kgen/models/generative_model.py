"""What GAN and VAE share: latents, a condition where there is one, averaged weights, `generate`."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from kgen.models.drawing_model import DrawingModel, seeds_and_indices
from kgen.models.network_inputs import inputs_of, parted
from kgen.training import MovingAverage, image_noise


class GenerativeModel(DrawingModel):
    """Base of the models that turn latents, and a condition where there is one, into pictures in one forward pass.

    A subclass gives `phases()` and calls `super().__init__` with the network that generates; that network's weights
    are averaged over training, and the average is what generates.

    Args:
        generator: built network from latents `(batch, latent_dim)`, or a dict with `latents` and parts of a condition,
            to images `(batch, height, width, channels)`.
        latent_dim: length of a latent vector.
        num_classes: number of classes where labels are the condition; None without labels.
        ema_momentum: of the moving average of the generator's weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.
        **kwargs: `postprocessing`, layers for what `generate` gives, as of `DrawingModel`; `name`, `dtype`.

    Example:

    ```python
    isinstance(kgen.models.GAN.from_image_shape((32, 32, 3)), kgen.models.GenerativeModel)     # True
    ```
    """

    def __init__(self, generator, latent_dim, num_classes=None, ema_momentum=0.999, seed=None, **kwargs):
        super().__init__(seed=seed, **kwargs)
        name = type(self).__name__
        check_network(name, "generator", generator)
        if not isinstance(latent_dim, int) or latent_dim < 1:
            raise ValueError(f"{name}: latent_dim must be a positive integer; got {latent_dim!r}.")
        if num_classes is not None and (not isinstance(num_classes, int) or num_classes < 2):
            raise ValueError(f"{name}: num_classes must be an integer above 1, or None; got {num_classes!r}.")
        latents = named_input(name, generator, "latents")
        if tuple(latents.shape) != (None, latent_dim):
            raise ValueError(
                f"{name}: the network that generates takes latents of shape {tuple(latents.shape)}; latent_dim "
                f"{latent_dim} asks for (None, {latent_dim})."
            )
        if len(generator.output_shape) != 4:
            raise ValueError(
                f"{name}: the network that generates must give images (batch, height, width, channels); got "
                f"{generator.output_shape}."
            )
        if num_classes is not None and (pooled := _pooled_dim(generator)) != num_classes:
            raise ValueError(
                f"{name}: num_classes={num_classes} needs a network that generates from 'latents' and 'pooled' of "
                f"shape (None, {num_classes}); "
                + (f"its 'pooled' has length {pooled}." if pooled else "it has no 'pooled'.")
            )
        self.latent_dim = latent_dim
        self.num_classes = num_classes
        self.ema_momentum = ema_momentum
        self.image_shape = tuple(generator.output_shape[1:])
        self.average = MovingAverage(generator, ema_momentum)

    @property
    def trained(self):
        """Whether any training step was made."""
        return self.average.trained

    def examine_others(self, others, count):
        """Checks labels, where the model has classes."""
        if self.num_classes is None:
            return
        name, labels = type(self).__name__, others.get("labels", others.get("y"))
        if labels is None:
            raise ValueError(f"{name}: the model has num_classes={self.num_classes}; give labels: fit(images, labels).")
        labels = ops.convert_to_numpy(labels)
        if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"{name}: labels must be {count} integers, one a picture; got {labels.dtype} of shape {labels.shape}."
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise ValueError(
                f"{name}: labels must be in 0 .. {self.num_classes - 1}; got {labels.min()} to {labels.max()}."
            )

    def prepare(self, x, y=None):
        """The batch that losses see: `images` in [-1, 1] and, of a condition, what there is."""
        if isinstance(x, dict):
            y = x.get("labels", y)
            condition = {key: x[key] for key in ("pooled", "tokens", "mask") if key in x}
            x = x["images"]
        else:
            condition = {}
        if self.num_classes is not None:
            condition["pooled"] = ops.one_hot(ops.cast(y, "int32"), self.num_classes)
        return {"images": self.to_network(x), **condition}

    def noise(self, like, training):
        """Latents for the losses: standard normal, `(batch, latent_dim)`, a row for each row of `like`."""
        return keras.random.normal((ops.shape(like)[0], self.latent_dim), seed=self.seeds(training))

    def prior_draws(self, images, condition):
        """Latents of the prior for measures, a row for each of a batch of images."""
        return self.noise(images, training=False)

    def counterparts(self, batch, paired):
        images, condition = parted(batch)
        return self.synthesize(self.prior_draws(images, condition), condition)

    # === Pictures out ===
    def synthesize(self, latents, condition):
        """Images in [-1, 1] from the averaged weights: one forward pass."""
        raise NotImplementedError(f"{type(self).__name__} must define synthesize().")

    def from_noise(self, noise, seeds, indices, condition):
        """Latents as the prior has them, from standard normal noise, which they are where nothing else was learnt."""
        return noise

    def draw(self, inputs):
        """uint8 images from latents, or seeds and indices, and a condition: the graph of `generate`.

        Args:
            inputs: dict of `latents` `(N, latent_dim)`, or of `seeds` and `indices`, int32 `(N,)`, and where latents
                are truncated `truncation` `(N,)`; and of the parts of a condition.
        """
        own = ("latents", "seeds", "indices", "truncation")
        condition = {key: value for key, value in inputs.items() if key not in own}
        return self.finished(self.synthesize(self.latents_of(inputs, condition), condition))

    def latents_of(self, inputs, condition):
        """Latents `(N, latent_dim)` of the inputs of `draw`: given ones, or those of seeds and indices, truncated."""
        given = "latents" in inputs
        latents = inputs["latents"] if given else image_noise(inputs["seeds"], inputs["indices"], self.latent_dim)
        if "truncation" in inputs:
            latents = truncated(latents, ops.expand_dims(inputs["truncation"], 1))
        return latents if given else self.from_noise(latents, inputs["seeds"], inputs["indices"], condition)

    def generate(self, what=1, seed=None, truncation=None, batch_size=64, verbose="auto"):
        """Generates pictures.

        Args:
            what: how many; or, for a model with `num_classes`, a label or a list of labels.
            seed: an integer, or one for each picture. The same seed gives the same pictures, in batches of any size,
                on every backend. None draws one.
            truncation: the largest a latent number may be, such as 0.7: latents are drawn from a normal distribution
                cut off there, for pictures that are more typical and less varied [Brock et al. 2019, "Large scale GAN
                training for high fidelity natural image synthesis"]. None: all of it.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            ValueError: for a count below 1, labels where there are no classes, or as many seeds as not pictures.
        """
        name = type(self).__name__
        if self.num_classes is None:
            if isinstance(what, bool) or not isinstance(what, (int, np.integer)) or what < 1:
                raise ValueError(f"{name}.generate: ask for a number of pictures, at least 1; got {what!r}.")
            count, condition = int(what), {}
        else:
            labels = np.atleast_1d(np.asarray(what))
            if labels.size == 0:
                raise ValueError(f"{name}.generate: the list of labels is empty.")
            self.examine_others({"labels": labels}, labels.size)
            count, condition = len(labels), {"pooled": np.eye(self.num_classes, dtype="float32")[labels]}
        seeds, indices = seeds_and_indices(name, seed, count)
        condition.update(truncation_inputs(name, truncation, count))
        return self.generate_from({"seeds": seeds, "indices": indices, **condition}, batch_size, verbose)

    def interpolate(self, first_seed, second_seed, steps=8, label=None):
        """Pictures on the way from one seed's picture to another's.

        Latents turn from one to the other at constant speed, and so stay as long as latents are: spherical
        interpolation [White 2016, "Sampling generative networks"].

        Args:
            first_seed, second_seed: integers; the first and the last picture are those of `generate(1, seed)`.
            steps: how many pictures, at least 2, both ends among them.
            label: of all of them, for a model with `num_classes`.

        Returns:
            uint8 array `(steps, height, width, channels)`.

        Raises:
            ValueError: for fewer than 2 steps, a wrong seed, a label where there are no classes, or a wrong one.
        """
        name = type(self).__name__
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
            raise ValueError(f"{name}.interpolate: steps must be an integer of at least 2; got {steps!r}.")
        if (label is None) != (self.num_classes is None):
            raise ValueError(f"{name}.interpolate: a label is for models with num_classes, and they need one.")
        seeds, _ = seeds_and_indices(name, [first_seed, second_seed], 2)
        condition = self.condition_of("interpolate", None if label is None else np.full(steps, label), steps)
        indices = np.zeros(2, "int32")
        noise = image_noise(seeds, indices, self.latent_dim)
        ends = self.from_noise(noise, seeds, indices, {key: value[:2] for key, value in condition.items()})
        first, last = ops.convert_to_numpy(ends)
        latents = spherical(first, last, np.linspace(0.0, 1.0, steps)).astype("float32")
        return self.generate_from({"latents": latents, **condition})

    def decode(self, latents, labels=None, batch_size=64, verbose="auto"):
        """The pictures of latents: of `encode`'s, or any others.

        Args:
            latents: float array `(N, latent_dim)`.
            labels: integers `(N,)` for a model with `num_classes`, else None.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            ValueError: for latents of another shape or not finite, or wrong labels.
        """
        latents = np.asarray(latents, "float32")
        if latents.ndim != 2 or latents.shape[1] != self.latent_dim or not len(latents):
            raise ValueError(
                f"{type(self).__name__}.decode: latents must have shape (N, {self.latent_dim}); got {latents.shape}."
            )
        if not np.isfinite(latents).all():
            raise ValueError(f"{type(self).__name__}.decode: latents must be finite; some are NaN or infinite.")
        return self.generate_from(
            {"latents": latents, **self.condition_of("decode", labels, len(latents))}, batch_size, verbose
        )

    def condition_of(self, asked, labels, count):
        """The condition, as arrays, that `count` checked labels make; empty for a model without classes.

        Args:
            asked: name of the method that was given the labels, for errors.
            labels: integers, or None.
            count: how many there must be.
        """
        if (labels is None) != (self.num_classes is None):
            raise ValueError(
                f"{type(self).__name__}.{asked}: labels are for models with num_classes, and they need them."
            )
        if labels is None:
            return {}
        labels = np.asarray(labels)
        self.examine_others({"labels": labels}, count)
        return {"pooled": np.eye(self.num_classes, dtype="float32")[labels]}

    # === As a SavedModel ===
    def served_layers(self):
        """The averaged generator."""
        return [self.average]

    def serving_signature(self):
        """`count`, a scalar, or `labels` `(N,)` where the model has classes; and `seed`, a scalar. All int32."""
        import tensorflow as tf

        if self.num_classes is None:
            first = tf.TensorSpec([], tf.int32, name="count")
        else:
            first = tf.TensorSpec([None], tf.int32, name="labels")
        return [first, tf.TensorSpec([], tf.int32, name="seed")]

    def serve(self, what, seed):
        """`{"images"}`: what `generate(what, seed)` gives."""
        condition = {}
        if self.num_classes is not None:
            condition["pooled"] = ops.one_hot(what, self.num_classes)
            what = ops.shape(what)[0]
        indices = ops.arange(what, dtype="int32")
        return {"images": self.draw({"seeds": ops.zeros_like(indices) + seed, "indices": indices, **condition})}

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            "num_classes": self.num_classes,
            "ema_momentum": self.ema_momentum,
        }


def truncation_inputs(owner, truncation, count):
    """What `draw` is given for the `truncation` argument of `generate`, checked; nothing for None."""
    if truncation is None:
        return {}
    if not truncation > 0:
        raise ValueError(f"{owner}.generate: truncation must be positive, or None; got {truncation!r}.")
    return {"truncation": np.full(count, truncation, "float32")}


def truncated(latents, limit):
    """Standard normal latents moved monotonically to where their distribution is cut off at -limit and limit."""
    share = ops.erf(latents / math.sqrt(2.0)) * ops.erf(limit / math.sqrt(2.0))
    return math.sqrt(2.0) * ops.erfinv(share)


def spherical(first, second, shares):
    """Points `(n, dim)` on the arc from one vector to another, at shares `(n,)` of its angle; lengths in between."""
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    angle = np.arccos(np.clip(first @ second / (lengths[0] * lengths[1]), -1.0, 1.0))
    shares = np.asarray(shares)[:, None]
    if np.sin(angle) < 1e-6:
        return (1.0 - shares) * first + shares * second
    directions = np.sin((1.0 - shares) * angle) * first / lengths[0] + np.sin(shares * angle) * second / lengths[1]
    return directions / np.sin(angle) * ((1.0 - shares) * lengths[0] + shares * lengths[1])


def check_network(owner, role, network):
    """Raises unless `network` is a built Keras model with known inputs."""
    if not isinstance(network, keras.Model):
        raise TypeError(f"{owner}: {role} must be a keras.Model; got {type(network).__name__}.")
    if not network.built or inputs_of(network) is None:
        raise ValueError(
            f"{owner}: the {role} {network.name!r} does not know its input shape. Begin it with keras.Input, or build "
            "it from kgen.networks."
        )


def named_input(owner, network, name):
    """A network's only input, or that called `name` where its inputs are a dict."""
    inputs = inputs_of(network)
    if isinstance(inputs, (list, tuple)) or isinstance(inputs, dict) and name not in inputs:
        raise ValueError(
            f"{owner}: several inputs of a network must be a dict with {name!r} in it, such as keras.Model({{{name!r}: "
            f"..., 'pooled': ...}}, outputs); {network.name!r} has "
            f"{sorted(inputs) if isinstance(inputs, dict) else f'a list of {len(inputs)}'}."
        )
    return inputs[name] if isinstance(inputs, dict) else inputs


def _pooled_dim(network):
    inputs = inputs_of(network)
    return inputs["pooled"].shape[-1] if isinstance(inputs, dict) and "pooled" in inputs else None
