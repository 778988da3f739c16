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

    With a `discriminator` it is a VAE-GAN [Larsen et al. 2016]: the decoder is also to convince a network that judges
    what it generates from the prior. The logs name `reconstruction` and `kl`, in nats per image, beside their sum;
    `pixel_error`, how far reconstructions are from the images, in grey levels of 0 to 255 (root of the mean square);
    and `active_units`, how many latents are in use: few of them are a collapsed posterior, see
    `kgen.losses.active_units`.

    With a `kgen.networks.LadderEncoder` and a `LadderDecoder` the latents are a hierarchy, drawn level after level at
    several resolutions, each from a prior and a posterior that know all coarser ones; the logs then also name the KL
    of each level, `kl_1`, `kl_2`, ... One level is the plain VAE.

    Args:
        encoder: built `keras.Model` from images `(batch, H, W, C)` in [-1, 1], or `{"images", "pooled"}`, to
            `(batch, 2 * latent_dim)`: means, then log-variances, of q(z|x); or a `LadderEncoder`.
        decoder: built `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled", ...}`, to
            `(batch, H, W, C)`, as `reconstruction` reads them: pixels, or logits for "logistic"; `(batch, H, W, 2 C)`
            if it learns how widely pixels are spread, as "pixel_gaussian" and "discretized_logistic" do.
        latent_dim: length of a latent vector; in a hierarchy, of all levels together.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. "learned_gaussian" and "optimal_gaussian" balance reconstruction and KL by themselves.
        discriminator: optional network from images, or `{"images", "pooled"}`, to logits `(batch, 1)`, with a
            classifier or without, as in `GAN`.
        num_classes: number of classes for a class-conditional VAE, whose `pooled` is the one-hot label.
        ema_momentum: of the average of the decoder's weights, which is what `generate` uses, in [0, 1).
        seed: integer or None; where training's random numbers begin.
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
            num_classes: as in `VAE`.
            adversarial: whether to have a discriminator, a `MultiscaleEncoder`.
            reconstruction: as in `VAE`.
            size: of the networks, "small", "medium" or "large".
            levels: of latents: 1, a vector and so a plain VAE; each further one lies on a grid, the coarsest first.
            latent_channels: numbers at each place of a grid, one or one for each further level.
            attention_resolutions: shorter sides of the grids with self-attention, in encoder and decoder.
            multiscale: whether the decoder makes an image at every scale, and the loss looks at all; see `compile`.
            space: as in `VAE`; networks are then made for the latents of such images.
            **kwargs: `ema_momentum`, `seed`, `postprocessing`, `name`.

        Raises:
            ValueError: for a shape that doubling does not reach, or too many levels for it.
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
            metrics: of `kgen.metrics`, as in `GAN.compile`; those of pairs compare images with reconstructions.
            **options: of `kgen.objectives.ELBO`: `beta`, `warmup_steps`, `free_nats`, `divergence`, `scales_weight`,
                `perceptual`, and what a discriminator adds; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for an unknown option.
            ValueError: for a number out of range, or arguments of a discriminator that the model does not have.
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
        """Real images, and their reconstructions or images generated from the prior."""
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
        """Generates images, from the prior or from what `fit_prior` learned; see `GAN.generate`."""
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
        """The latents of images: one pass through the encoder.

        Args:
            images, labels, batch_size, verbose, value_range: as in `GAN.encode`.
            seed: None for the means of q(z|x); an integer for a draw from it, which depends on the image and the seed
                alone.

        Returns:
            float32 array `(N, latent_dim)`, for `decode`.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range, or wrong labels.
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
        """The evidence lower bound, E log p(x|z) - KL(q(z|x) || p(z)), which training raises.

        Args:
            images, labels: as in `encode`.
            samples: draws from q(z|x) for the expectation; more make it steadier, not higher.
            seed: an integer. The same one gives an image the same draws, alone as in a batch.
            **options: `batch_size`, draws computed at once, 64; `verbose` and `value_range`, as in `encode`.

        Returns:
            float64 array `(N,)`, in nats.

        Raises:
            TypeError, ValueError: as in `encode`; and for `samples` below 1.
        """
        return self.posterior.bounds_of("elbo", images, labels, samples, seed, **options)[:, 1]

    def log_likelihood(
        self, images: Any, labels: Any = None, samples: int = 50, seed: int = 0, **options: Any
    ) -> Array:
        """The importance-weighted bound of log p(x), or of log p(x|label) if there are labels.

            log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x),    z_k ~ q(z|x)

        [Burda et al. 2016, "Importance weighted autoencoders"]. With one draw it is, in expectation, the `elbo`; with
        more it rises to log p(x). The prior p(z) is the standard normal one, or what `fit_prior` found. It is the
        probability of an image for "bernoulli" and "discretized_logistic", a density in [-1, 1] for the others.

        Args:
            images, labels, seed, **options: as in `elbo`.
            samples: K, draws from q(z|x).

        Returns:
            float64 array `(N,)`, in nats.

        Raises:
            TypeError, ValueError: as in `elbo`.
        """
        return self.posterior.bounds_of("log_likelihood", images, labels, samples, seed, **options)[:, 0]

    def anomaly_score(self, images: Any, labels: Any = None, samples: int = 50, seed: int = 0, **options: Any) -> Array:
        """Minus `log_likelihood`, in nats: the higher, the less an image looks like those that the model knows.

        Images with little in them can be likely under a model that never saw any such [Nalisnick et al. 2019, "Do deep
        generative models know what they don't know?"]: compare scores of images of one kind.
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

        p(x|label) is the `log_likelihood` bound under each label in turn, with the same draws for all of them. A model
        whose discriminator has an auxiliary classifier asks that one instead, unless `samples` is given.

        Args:
            images, class_names, top, batch_size, verbose, value_range: as in `GAN.classify`, and so is what it returns.
            samples: draws from q(z|x, label) for each label; None is 1.
            class_shares: p(label), `(num_classes,)`, up to a factor; None: all alike.
            seed: an integer; of the draws.

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
            images, labels: as in `encode`; with `value_range` floats that noise may have taken out of their range.
            noise_std: standard deviation of the normal noise, where black is 0 and white is 1, whatever the range of
                the arrays.
            value_range: None: noisy images were cut to their range, as uint8 are. `(0, 1)` or `(-1, 1)`: float images
                whose noise was left as it is; the range is that of the images without noise.
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
        """Learns where latents are, for `generate` to draw from there: a `kgen.sampling.latent_prior.LatentPrior`.

        It is saved with the model, and is in presets and in what `export` writes; `log_likelihood` counts with it.
        Training anew drops it.

        Args:
            images, labels: as in `encode`: what the model was trained on, or a good part of it.
            components: normal distributions in the mixture, for each class.
            iterations: of expectation and maximisation, at most.
            seed: an integer; of the draws, and of where the search begins.
            **options: `batch_size`, `verbose` and `value_range`, as in `encode`.

        Returns:
            By how many nats an image the mixture raises the `elbo` of these images.

        Raises:
            TypeError, ValueError: as in `encode`; and for more components than there are images for.
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
