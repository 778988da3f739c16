"""Models of latents that come with a way from pictures to them: encoding, and where latents are."""

from __future__ import annotations

import itertools
import warnings

import keras
import numpy as np
from keras import ops

from kgen.models import ladder, pixels
from kgen.models.importance_bounds import Draws, picture_numbers
from kgen.models.judged_model import JudgedModel
from kgen.models.latent_prior import LatentPrior
from kgen.models.network_inputs import feed, parted
from kgen.models.text_prior import TextPrior
from kgen.training import image_noise


class LatentModel(JudgedModel):
    """Base of the models p(x|z) p(z) that come with q(z|x), from pictures to where their latents may be.

    A subclass sets `encoder`, `decoder`, `latent_dims`, one length for each level of latents, and `reconstruction`,
    which is p(x|z). Every method here that answers a user reads the averaged decoder, which is the one that `generate`
    uses.

    Args:
        *args, **kwargs: as of `JudgedModel`.

    Example:

    ```python
    isinstance(kgen.models.VAE.from_image_shape((32, 32, 3)), kgen.models.latent_model.LatentModel)     # True
    ```
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.prior = None

    def infer(self, images, condition, sample=None, training=False, averaged=False):
        """The way of pictures through q(z|x) and the decoder.

        Args:
            images: in [-1, 1].
            condition: dict of what is known beside them.
            sample: function from means and log-variances to latents, called once for each level, coarse to fine, with
                those of that level; None takes the means.
            training: whether the networks are in training.
            averaged: whether the decoder is the averaged one, which `generate` uses.

        Returns:
            `(means, log-variances, latents, outputs)`: three `(batch, latent_dim)`, and what the decoder makes of the
            latents; float32.
        """
        *inferred, scales = self.infer_scales(images, condition, sample, training, averaged)
        return *inferred, scales[-1]

    def infer_scales(self, images, condition, sample=None, training=False, averaged=False):
        """`infer` with the outputs of all scales that the decoder has, a list, coarse to fine."""
        decoder = self.average.network if averaged else self.decoder
        return ladder.infer(self.encoder, decoder, images, condition, sample, training)

    @property
    def multiscale(self):
        """Whether the decoder makes images at coarser scales too."""
        return ladder.is_ladder(self.decoder) and len(self.decoder.resolutions) > 1

    @property
    def level_names(self):
        """Names, in the logs, of the KL of each level of a hierarchy."""
        return tuple(f"kl_{i + 1}" for i in range(len(self.latent_dims)) if len(self.latent_dims) > 1)

    def by_level(self, latents):
        """A tensor `(batch, latent_dim)`, such as means, cut into the levels of latents."""
        ends = itertools.accumulate(self.latent_dims)
        return [latents[:, end - size : end] for size, end in zip(self.latent_dims, ends)]

    # === Pictures to latents and back ===
    def encode(self, images, labels=None, seed=None, batch_size=64, verbose="auto"):
        """The latents of pictures: one pass through the encoder.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            labels: integers `(N,)` for a model with `num_classes`, else None.
            seed: None for the means of q(z|x); an integer for a draw from it, which depends on the picture and the seed
                alone.
            batch_size: pictures at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float32 array `(N, latent_dim)`, for `decode`.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, or wrong labels.
        """
        inputs = self._taken_in("encode", images, labels, 0 if seed is None else seed)
        function = self.posterior_means if seed is None else self.posterior_draws
        return self.in_batches(function, inputs, batch_size, verbose)

    def reconstruct(self, images, labels=None, batch_size=64, verbose="auto"):
        """What the decoder makes of the latents of pictures, `decode(encode(images))`.

        Args:
            images, labels, batch_size, verbose: as of `encode`.

        Returns:
            uint8 array `(N, height, width, channels)`.

        Raises:
            TypeError, ValueError: as of `encode`.
        """
        return self.in_batches(self.reconstructions, self._taken_in("reconstruct", images, labels), batch_size, verbose)

    # === A learned prior ===
    def fit_prior(self, images, labels=None, components=10, iterations=100, seed=0, batch_size=64, verbose="auto"):
        """Learns where latents are, for `generate` to draw from there: a mixture of normal distributions.

        The latents of all pictures together are seldom as widely spread as the standard normal prior says; in between
        them the decoder draws what it never saw [Ghosh et al. 2020, "From variational to deterministic autoencoders",
        fit such a mixture after training too]. The mixture is fitted, by class where there are classes, to a draw from
        q(z|x) for each picture. It is saved with the model and is in presets and in what `export` writes;
        `log_likelihood` counts with it. Training anew drops it.

        Args:
            images, labels: as of `encode`: what the model was trained on, or a good part of it.
            components: normal distributions in the mixture, for each class.
            iterations: of expectation and maximisation, at most.
            seed: an integer; of the draws, and of where the search begins.
            batch_size: pictures encoded at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            By how many nats a picture the mixture raises the `elbo` of these pictures.

        Raises:
            TypeError, ValueError: as of `encode`; and for more components than there are pictures for.
        """
        latents = self.encode(images, labels, seed, batch_size, verbose)
        labels = np.zeros(len(latents), int) if self.num_classes is None else np.asarray(labels)
        owner = f"{type(self).__name__}.fit_prior"
        prior = LatentPrior.fit(owner, latents, labels, self.num_classes or 1, components, iterations, seed)
        self.take_prior(prior)
        return prior.gain

    def take_prior(self, prior):
        """Puts a learned prior in the place of the one there is, or None."""
        self.prior = prior

    def compiled_constant(self):
        """The learned prior."""
        return self.prior

    # === Graphs, row by row ===
    def posterior_means(self, inputs):
        """Latents `(N, latent_dim)` from a dict of `images` as they come in, and a condition."""
        return self._inferred(inputs)[2]

    def posterior_draws(self, inputs):
        """As `posterior_means`, but drawn."""
        return self._inferred(inputs, self._draws(inputs))[2]

    def reconstructions(self, inputs):
        """uint8 pictures from a dict of `images` as they come in, and a condition."""
        return pixels.to_uint8(self.reconstruction.mean(self._inferred(inputs)[3]))

    def log_prior(self, latents, condition):
        """What log p(z) is but for its constant: log p(z) + log(2 pi) latent_dim / 2, `(N,)`."""
        if self.prior:
            return self.prior.log_density(latents, condition)
        return -0.5 * ops.sum(ops.square(latents), axis=-1)

    def from_noise(self, noise, seeds, indices, condition):
        """Latents as the learned prior has them, from standard normal noise."""
        return self.prior.draw(noise, seeds, indices, condition) if self.prior else noise

    def decoded(self, latents, condition):
        """What the averaged decoder makes of latents, for `reconstruction` to read."""
        return feed(self.average.network, "latents", latents, condition, False)

    def prior_draws(self, images, condition):
        noise = super().prior_draws(images, condition)
        if not self.prior:
            return noise
        seeds = keras.random.randint((ops.shape(images)[0],), 0, 2**31 - 1, seed=self.seeds(training=False))
        return self.from_noise(noise, seeds, ops.zeros_like(seeds), condition)

    def counterparts(self, batch, paired):
        return self.call(batch) if paired else super().counterparts(batch, paired)

    def _inferred(self, inputs, sample=None):
        images, condition = parted(inputs)
        condition = {key: value for key, value in condition.items() if key not in ("seeds", "indices")}
        return self.infer(self.to_network(images), condition, sample, averaged=True)

    def _draws(self, inputs):
        return Draws(image_noise(inputs["seeds"], inputs["indices"], self.latent_dim))

    # === At the door ===
    def _taken_in(self, asked, images, labels, seed=0, conditional=True):
        """Arrays for the graphs above, from checked pictures."""
        owner = f"{type(self).__name__}.{asked}"
        found = self.find_range(images, some_of_many=True, owner=owner)
        if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**31) <= seed < 2**31:
            raise ValueError(f"{owner}: seed must be an integer below 2**31; got {seed!r}.")
        condition = self.condition_of(asked, labels, len(images)) if conditional else {}
        seeds = np.full(len(images), seed, "int32")
        numbers = picture_numbers(images, found)
        return {"images": ops.convert_to_numpy(images), "seeds": seeds, "indices": numbers, **condition}

    # === The learned prior is state ===
    def make_train_function(self, force=False):
        """Drops a learned prior."""
        self.drop_prior()
        return super().make_train_function(force)

    def drop_prior(self):
        """Drops a learned prior, where there is one: the latents that it was fitted to move when training goes on."""
        if self.prior:
            warnings.warn(
                f"{type(self).__name__}: training moves the latents; the prior that fit_prior learnt is dropped.",
                stacklevel=4,
            )
            self.take_prior(None)

    def save_own_variables(self, store):
        """Also stores the learned prior."""
        super().save_own_variables(store)
        if self.prior:
            self.prior.save(store)

    def load_own_variables(self, store):
        """Also loads the learned prior, or none where none was saved."""
        saved = {key: store[key] for key in store.keys()}
        self.take_prior(LatentPrior.load(saved) or TextPrior.load(saved))
        super().load_own_variables(saved)
