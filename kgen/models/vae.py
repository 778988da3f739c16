"""Variational autoencoders."""

from __future__ import annotations

from typing import Any

import keras

from kgen import losses, networks
from kgen.inference.classify import named
from kgen.inference.denoising import posterior_mean
from kgen.inference.posterior import Posterior
from kgen.inputs import ClassLabels, ImageInput
from kgen.models.image_model import ImageModel
from kgen.networks import ladder
from kgen.networks.interface import (
    check_discriminator,
    check_generator,
    check_network,
    named_input,
    split_batch,
    warn_of_ending,
)
from kgen.objectives import ELBO
from kgen.sampling.latent_prior import LatentPrior
from kgen.sampling.sampler import Sampler, checked_postprocessing
from kgen.serializable import arguments_of, python_numbers, serializable, split_arguments
from kgen.spaces import space_of
from kgen.training import AdaptiveProbability, MovingAverage
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class VAE(ImageModel):
    """An encoder and a decoder that minimise reconstruction + KL(q(z|x) || p(z)) [Kingma & Welling 2014].

    With a `discriminator` it is a VAE-GAN [Larsen et al. 2016]: the decoder must also convince a network that judges
    images generated from the prior. The logs name `reconstruction` and `kl`, in nats per image, and their sum;
    `pixel_error`, the root mean square error of reconstructions in grey levels from 0 to 255; and `active_units`, how
    many latents are in use: few mean a collapsed posterior, see `kgen.losses.active_units`.

    With a `kgen.networks.LadderEncoder` and a `LadderDecoder` the latents form a hierarchy at several resolutions. Each
    level has a prior and a posterior that depend on all coarser levels, and the logs name the KL of each: `kl_1`,
    `kl_2`, ... One level is the plain VAE.

    Args:
        encoder: built `keras.Model` from images `(batch, H, W, C)` in [-1, 1], or `{"images", "pooled"}`, to
            `(batch, 2 * latent_dim)`: means, then log-variances, of q(z|x); or a `LadderEncoder`.
        decoder: built `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled", ...}`, to
            `(batch, H, W, C)`: pixels, or logits for "logistic"; or to `(batch, H, W, 2 C)` for a `reconstruction`
            that also learns the spread of each pixel, "pixel_gaussian" or "discretized_logistic".
        latent_dim: length of a latent vector; in a hierarchy, of all levels together.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. "learned_gaussian" and "optimal_gaussian" balance reconstruction and KL by themselves.
        discriminator: optional network from images, or `{"images", "pooled"}`, to logits `(batch, 1)`, with or without
            a classifier, as in `GAN`.
        num_classes: number of classes for a class-conditional VAE, whose `pooled` is the one-hot label.
        ema_momentum: momentum of the average of the decoder's weights, which `generate` uses, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        postprocessing, space: as in `GAN`.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if a network is not a `keras.Model`.
        ValueError: if the shapes of the networks do not fit together.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), latent_dim=64)
    vae.compile()
    vae.fit(images, epochs=10, batch_size=32)       # uint8, or float in [0, 1] or [-1, 1]
    generated = vae.generate(16, seed=0)            # uint8 (16, 32, 32, 3)
    ```
    """

    generates = pairs = True
    predicts_by = "reconstruct"

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        latent_dim: int,
        reconstruction: Any = "auto",
        discriminator: keras.Model | None = None,
        num_classes: int | None = None,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        postprocessing: Any = (),
        space: Any = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.space = space_of(type(self).__name__, space)
        owner = type(self).__name__
        self.latent_dim, self.num_classes = check_generator(owner, decoder, latent_dim, num_classes)
        self.reconstruction = losses.reconstruction_of(reconstruction)
        self.space.check(owner, self.reconstruction)
        logits = isinstance(self.reconstruction, losses.Logistic)
        warn_of_ending(owner, "decoder", decoder, logits, latents=self.space.stores)
        check_network(owner, "encoder", encoder)
        shape = tuple(named_input(owner, encoder, "images").shape[1:])
        self.image_shape = self.space.image_shape(owner, shape)
        wanted, made = losses.decoded_shape(shape, self.reconstruction), tuple(decoder.output_shape[1:])
        if made != wanted:
            raise ValueError(
                f"{owner}: the encoder takes images of shape {shape}, but the decoder gives {made}; "
                f"{type(self.reconstruction).__name__} needs {wanted} for them."
            )
        ladder.check_posterior(owner, encoder, decoder, self.latent_dim)
        if discriminator is not None:
            check_discriminator(owner, discriminator, shape, num_classes)
        self.latent_dims = ladder.latent_dims(decoder, self.latent_dim)
        self.ema_momentum = ema_momentum
        # === Layers ===
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.average = MovingAverage(decoder, ema_momentum)
        if discriminator is not None:
            self.adaptive_probability = AdaptiveProbability(name="adaptive_probability")
        self.postprocessing = checked_postprocessing(owner, postprocessing)
        # === Parts ===
        targets = {} if num_classes is None else {"labels": ClassLabels(num_classes)}
        self.image_input = ImageInput(owner, self.image_shape, self.float_scale, targets, self.space)
        self.sampler = Sampler(self)
        self.posterior = Posterior(self)
        self.use_objective(ELBO())
        self.built = True

    @classmethod
    @python_numbers
    def from_image_shape(
        cls,
        image_shape: ImageShape,
        latent_dim: int = 64,
        num_classes: int | None = None,
        adversarial: bool = False,
        reconstruction: Any = "auto",
        size: str = "small",
        levels: int = 1,
        latent_channels: Any = 2,
        attention_resolutions: tuple = (),
        multiscale: bool = False,
        space: Any = None,
        **kwargs: Any,
    ) -> VAE:
        """A VAE with an encoder and a decoder for images of this shape.

        Args:
            image_shape: `(height, width, channels)`.
            latent_dim: length of the latent vector; in a hierarchy, of the first level.
            num_classes, reconstruction: as in `VAE`.
            adversarial: whether to add a discriminator, a `MultiscaleEncoder`.
            size: size of the networks, "small", "medium" or "large".
            levels: levels of latents. 1 is a vector, the plain VAE; each further level is a grid, coarsest first.
            latent_channels: channels of the grids, one number for all or one for each.
            attention_resolutions: shorter sides of the grids with self-attention, in encoder and decoder.
            multiscale: whether the decoder makes an image at every scale and the loss compares all; see `compile`.
            space: as in `VAE`; the networks are then made for the latents of such images.
            **kwargs: `ema_momentum`, `seed`, `postprocessing`, `name`.

        Raises:
            ValueError: if doubling does not reach the shape, or the shape is too small for the levels.
        """
        reconstruction = losses.reconstruction_of(reconstruction)
        space = space_of("VAE", space)
        image_shape = space.shape("VAE", image_shape)
        channels = losses.decoded_shape(image_shape, reconstruction)[-1]
        sizes = size, levels, latent_channels, attention_resolutions, multiscale
        encoder, decoder = networks.encoder_and_decoder("VAE", image_shape, latent_dim, channels, num_classes, *sizes)
        discriminator = None
        if adversarial:
            discriminator = networks.sized_encoder("VAE", image_shape, 1, num_classes, size, "discriminator")
        all_latents = sum(ladder.latent_dims(decoder, latent_dim))
        return cls(encoder, decoder, all_latents, reconstruction, discriminator, num_classes, space=space, **kwargs)

    # === Training ===
    def compile(self, optimizer: Any = "auto", *, metrics: Any = None, **options: Any) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3), one optimizer, or a dict with `autoencoder` and, if the model has one,
                `discriminator`.
            metrics: from `kgen.metrics`, as in `GAN.compile`; paired ones compare images with reconstructions.
            **options: of `kgen.objectives.ELBO`: `beta`, `warmup_steps`, `free_nats`, `divergence`, `scales_weight`,
                `perceptual`, and its discriminator options; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for an unknown option.
            ValueError: for a number out of range, or discriminator options in a model without a discriminator.
        """
        terms, options = split_arguments(ELBO, options)
        self.use_objective(ELBO(**terms))
        super().compile(optimizer, config=arguments_of(self.objective), metrics=metrics, **options)

    @property
    def generator(self) -> keras.Model:
        """The network that generates: the decoder."""
        return self.decoder

    def after_step(self) -> None:
        """Updates the averaged decoder."""
        self.average.update(self.decoder)

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Real images, and their reconstructions (`paired`) or images generated from the prior."""
        if not paired:
            return super().counterparts(batch, paired)
        images, condition = self.conditioned(batch, False)
        return images, self.posterior.reconstructed(images, condition)

    # === Images out ===
    def call(self, images: Any) -> Tensor:
        """Reconstructions in [-1, 1] of images in [-1, 1], or of `{"images", "pooled", ...}`."""
        images, condition = split_batch(images if isinstance(images, dict) else {"images": images})
        return self.space.decode(self.posterior.reconstructed(self.space.encode(images), condition))

    def generate(
        self,
        num_images: int = 1,
        seed: Any = None,
        truncation: float | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        *,
        labels: Any = None,
    ) -> Array:
        """Generates images from the prior, or from the one that `fit_prior` learned; see `GAN.generate`."""
        return self.sampler.generate(num_images, seed, truncation, batch_size, verbose, labels)

    def interpolate(self, first_seed: int, second_seed: int, steps: int = 8, label: int | None = None) -> Array:
        """Images on the way from one seed's image to another's; see `GAN.interpolate`."""
        return self.sampler.interpolate(first_seed, second_seed, steps, label)

    def decode(self, latents: Any, labels: Any = None, batch_size: int = 64, verbose: Verbose = "auto") -> Array:
        """The images of latents; see `GAN.decode`."""
        return self.sampler.decode(latents, labels, batch_size, verbose)

    # === Images in ===
    def encode(
        self,
        images: Any,
        labels: Any = None,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """The latents of images, float32 `(N, latent_dim)`, by one pass through the encoder; `decode` takes them.

        Args:
            images, labels, batch_size, verbose, value_range: as in `GAN.encode`, with the same errors.
            seed: None for the means of q(z|x); an integer for a draw that depends only on the image and the seed.
        """
        return self.posterior.encode(images, labels, seed, batch_size, verbose, value_range)

    def reconstruct(
        self,
        images: Any,
        labels: Any = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """`decode(encode(images))`, uint8 `(N, height, width, channels)`; arguments as in `encode`."""
        return self.posterior.reconstruct(images, labels, batch_size, verbose, value_range)

    def elbo(self, images: Any, labels: Any = None, samples: int = 1, seed: int = 0, **options: Any) -> Array:
        """The evidence lower bound, E log p(x|z) - KL(q(z|x) || p(z)), which training raises; float64 `(N,)`, in nats.

        Args:
            images, labels: as in `encode`, with the same errors.
            samples: draws from q(z|x) for the expectation, at least 1; more make it steadier, not higher.
            seed: an integer. With the same one an image gets the same draws, alone or in a batch.
            **options: `batch_size`, draws computed at once, 64; `verbose` and `value_range`, as in `encode`.
        """
        return self.posterior.bounds_of("elbo", images, labels, samples, seed, **options)[:, 1]

    def log_likelihood(
        self, images: Any, labels: Any = None, samples: int = 50, seed: int = 0, **options: Any
    ) -> Array:
        """The importance-weighted bound of log p(x), or of log p(x|label) with labels; float64 `(N,)`, in nats.

            log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x),    z_k ~ q(z|x)

        [Burda et al. 2016, "Importance weighted autoencoders"]. With one draw it is, in expectation, the `elbo`; with
        more it rises to log p(x). The prior p(z) is standard normal, or the one that `fit_prior` learned. For
        "bernoulli" and "discretized_logistic" p(x) is a probability, for the others a density over [-1, 1].

        Args:
            images, labels, seed, **options: as in `elbo`, with the same errors.
            samples: K, draws from q(z|x).
        """
        return self.posterior.bounds_of("log_likelihood", images, labels, samples, seed, **options)[:, 0]

    def anomaly_score(self, images: Any, labels: Any = None, samples: int = 50, seed: int = 0, **options: Any) -> Array:
        """Minus `log_likelihood`, in nats: the higher, the less an image looks like the training images.

        Images with little detail can score as likely even if the model never saw their kind [Nalisnick et al. 2019, "Do
        deep generative models know what they don't know?"]: compare scores only among images of one kind.
        """
        return -self.posterior.bounds_of("anomaly_score", images, labels, samples, seed, **options)[:, 0]

    def classify(
        self,
        images: Any,
        class_names: Any = None,
        *,
        top: int | None = None,
        samples: int | None = None,
        class_shares: Any = None,
        seed: int = 0,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Any:
        """The class of images by Bayes' rule, p(label|x) = p(x|label) p(label) / sum, for a model with `num_classes`.

        p(x|label) is the `log_likelihood` bound under each label, with the same noise for all labels. If the
        discriminator has an auxiliary classifier, that classifier answers instead, unless `samples` or `class_shares`
        are given.

        Args:
            images, class_names, top, batch_size, verbose, value_range: as in `GAN.classify`, and so is what it returns.
            samples: draws from q(z|x, label) for each label; None is 1.
            class_shares: p(label), `(num_classes,)`, up to a factor; None: all classes are equally likely.
            seed: an integer, the seed of the draws.

        Raises:
            TypeError, ValueError: as in `encode`; for a model without classes, or wrong shares.
        """
        options = samples, class_shares, seed, batch_size, verbose, value_range
        probabilities = self.posterior.class_probabilities(images, *options)
        return named(f"{type(self).__name__}.classify", probabilities, class_names, top)

    def denoise(
        self, images: Any, noise_std: float, labels: Any = None, value_range: tuple | None = None, **options: Any
    ) -> Array:
        """Noisy images without their noise: the mean of p(x|noisy image), uint8; see `kgen.inference.denoising`.

        Args:
            images, labels: as in `encode`; with `value_range`, floats that the noise may have pushed out of range.
            noise_std: standard deviation of the normal noise, where black is 0 and white is 1, in any range of arrays.
            value_range: None: noisy values were clipped to their range, as in uint8. `(0, 1)` or `(-1, 1)`: the range
                of the clean images, float; noisy values were not clipped.
            **options: `steps` of the search (150), `samples` that are averaged (16), `seed`, `batch_size`, `verbose`.

        Raises:
            TypeError, ValueError: for wrong images or labels, or a number out of range.
        """
        return posterior_mean(self, images, noise_std, labels, value_range, **options)

    def fit_prior(
        self,
        images: Any,
        labels: Any = None,
        components: int = 10,
        iterations: int = 100,
        seed: int = 0,
        **options: Any,
    ) -> float:
        """Learns where the latents lie, for `generate` to draw from; see `kgen.sampling.latent_prior.LatentPrior`.

        The prior is part of saved models, presets and exports, and `log_likelihood` uses it. More training drops it.

        Args:
            images, labels: as in `encode`: the training data, or a good part of it.
            components: normal distributions in the mixture, for each class.
            iterations: most rounds of expectation-maximisation.
            seed: an integer, the seed of the draws and of the start of the search.
            **options: `batch_size`, `verbose` and `value_range`, as in `encode`.

        Returns:
            By how many nats per image the mixture raises the `elbo` of these images.

        Raises:
            TypeError, ValueError: as in `encode`; and for too few images for the components.
        """
        latents, owner = self.encode(images, labels, seed, **options), f"{type(self).__name__}.fit_prior"
        self.sampler.prior = LatentPrior.fit(owner, latents, labels, self.num_classes, components, iterations, seed)
        return self.sampler.prior.gain

    @property
    def discriminator_features(self) -> keras.Model:
        """A network from images in [-1, 1] to the discriminator's features; see `kgen.networks.feature_network`."""
        if self.discriminator is None:
            raise ValueError("VAE.discriminator_features: this model was built without a discriminator.")
        return networks.feature_network(self.discriminator, self.space)
