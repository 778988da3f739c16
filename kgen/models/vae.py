"""Variational autoencoders."""

from __future__ import annotations

import keras
from keras import ops

from kgen import losses, networks
from kgen.layers import GaussianSampling
from kgen.models import ladder
from kgen.models.generative_model import check_network, named_input
from kgen.models.likelihood_model import LikelihoodModel
from kgen.models.network_inputs import feed, parted
from kgen.models.perceptual_term import PerceptualTerm
from kgen.training import Phase


@keras.saving.register_keras_serializable(package="kgen")
class VAE(LikelihoodModel):
    """An encoder and a decoder that minimise reconstruction + KL(q(z|x) || p(z)) [Kingma & Welling 2014].

    With a `discriminator` it is a VAE-GAN [Larsen et al. 2016]: the decoder is also to convince a network that judges
    what it generates from the prior. The logs name `reconstruction` and `kl`, in nats per image, beside their sum; and
    `active_units`, how many latents are in use: few of them are a collapsed posterior, see `kgen.losses.active_units`.

    With a `kgen.networks.LadderEncoder` and a `LadderDecoder` the latents are a hierarchy, drawn level after level at
    several resolutions, each from a prior and a posterior that know all coarser ones; the logs then also name the KL
    of each level, `kl_1`, `kl_2`, ... One level is the plain VAE.

    Args:
        encoder: built `keras.Model` from images `(batch, H, W, C)` in [-1, 1], or `{"images", "pooled"}`, to
            `(batch, 2 * latent_dim)`: means, then log-variances, of q(z|x); or a `LadderEncoder`.
        decoder: built `keras.Model` from latents `(batch, latent_dim)`, or `{"latents", "pooled", ...}`, to
            `(batch, H, W, C)`, as `reconstruction` reads them: pixels, or logits for "logistic"; `(batch, H, W, 2 C)`
            where it learns how widely pixels are spread, as "pixel_gaussian" and "discretized_logistic" do.
        latent_dim: length of a latent vector; in a hierarchy, of all levels together.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. "learned_gaussian" and "optimal_gaussian" balance reconstruction and KL by themselves.
        discriminator: optional network from images, or `{"images", "pooled"}`, to logits `(batch, 1)`, with a
            classifier or without, as of `GAN`.
        num_classes: number of classes for a class-conditional VAE, whose `pooled` is the one-hot label.
        ema_momentum: of the average of the decoder's weights, which is what `generate` uses.
        seed: integer or None; where training's random numbers begin.
        **kwargs: `postprocessing`, layers for what `generate` gives, as of `DrawingModel`; `name`, `dtype`.

    Raises:
        ValueError: if the shapes of the networks do not fit together.

    Example:

    ```python
    vae = kgen.models.VAE.from_image_shape((32, 32, 3), latent_dim=64)
    vae.compile()
    vae.fit(images, epochs=10, batch_size=32)       # uint8, or float in [0, 1] or [-1, 1]
    pictures = vae.generate(16, seed=0)             # uint8 (16, 32, 32, 3)
    ```
    """

    # Reconstructions.
    draws_pairs = True

    def __init__(
        self,
        encoder,
        decoder,
        latent_dim,
        reconstruction="auto",
        discriminator=None,
        num_classes=None,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(decoder, latent_dim, num_classes, ema_momentum, seed, **kwargs)
        check_network("VAE", "encoder", encoder)
        images = named_input("VAE", encoder, "images")
        self.reconstruction = reconstruction_of(reconstruction)
        self.image_shape = tuple(images.shape[1:])
        wanted = decoded_shape(self.image_shape, self.reconstruction)
        if tuple(decoder.output_shape[1:]) != wanted:
            raise ValueError(
                f"VAE: the encoder takes images of shape {self.image_shape}, but the decoder gives "
                f"{tuple(decoder.output_shape[1:])}; {type(self.reconstruction).__name__} needs {wanted} for them."
            )
        ladder.check_posterior("VAE", encoder, decoder, latent_dim)
        # === Layers ===
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dims = ladder.latent_dims(decoder, latent_dim)
        self.take_discriminator(discriminator, optional=True)
        self.training_posterior = GaussianSampling(self.training_seeds)
        self.evaluation_posterior = GaussianSampling(self.evaluation_seeds)
        for posterior in (self.training_posterior, self.evaluation_posterior):
            # Else Keras, on JAX and under tf.distribute, would build it by calling this model without the labels.
            posterior.build((None, latent_dim))
        self.choose_losses()
        self.built = True

    @classmethod
    def from_image_shape(
        cls,
        image_shape,
        latent_dim=64,
        num_classes=None,
        adversarial=False,
        reconstruction="auto",
        size="small",
        levels=1,
        latent_channels=2,
        attention_resolutions=(),
        multiscale=False,
        **kwargs,
    ):
        """A VAE with an encoder and a decoder for pictures of this shape.

        Args:
            image_shape: `(height, width, channels)`.
            latent_dim: length of the latent vector; in a hierarchy, of the first level.
            num_classes: as of the constructor.
            adversarial: whether to have a discriminator, a `MultiscaleEncoder`.
            reconstruction: as of the constructor.
            size: of the networks, "small", "medium" or "large".
            levels: of latents: 1, a vector and so a plain VAE; each further one lies on a grid, the coarsest first.
            latent_channels: numbers at each place of a grid, one or one for each further level.
            attention_resolutions: shorter sides of the grids with self-attention, in encoder and decoder.
            multiscale: whether the decoder makes an image at every scale, and the loss looks at all; see `compile`.
            **kwargs: `ema_momentum`, `seed` and `name`.

        Raises:
            ValueError: for pictures of a shape that doubling does not reach, or too many levels for it.
        """
        reconstruction = reconstruction_of(reconstruction)
        channels = decoded_shape(image_shape, reconstruction)[-1]
        encoder, decoder = networks.encoder_and_decoder(
            "VAE",
            image_shape,
            latent_dim,
            channels,
            num_classes,
            size,
            levels,
            latent_channels,
            attention_resolutions,
            multiscale,
        )
        discriminator = None
        if adversarial:
            discriminator = networks.sized_encoder("VAE", image_shape, 1, num_classes, size, "discriminator")
        return cls(
            encoder,
            decoder,
            sum(ladder.latent_dims(decoder, latent_dim)),
            reconstruction,
            discriminator,
            num_classes,
            **kwargs,
        )

    def compile(
        self,
        optimizer="auto",
        beta=1.0,
        warmup_steps=0,
        free_nats=0.0,
        divergence="kl",
        scales_weight=1.0,
        perceptual=None,
        perceptual_weight=1.0,
        loss="auto",
        penalties="auto",
        mixing=None,
        augmentation=None,
        adversarial_weight=1.0,
        classification_weight=1.0,
        feature_matching=0.0,
        **kwargs,
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3), one optimizer, or a dict with `autoencoder` and, where the model has one,
                `discriminator`.
            beta: weight of the KL term; 1 is the documented loss, others are beta-VAE [Higgins et al. 2017].
            warmup_steps: number of training steps over which the weight grows linearly from 0 to `beta`, so that the
                decoder learns to use the latents before they cost anything [Bowman et al. 2016, "Generating sentences
                from a continuous space"; Sønderby et al. 2016, "Ladder variational autoencoders"]. Evaluation always
                counts `beta` in full.
            free_nats: information that each latent may carry at no price; see `kgen.losses.gaussian_kl`.
            divergence: "kl"; or "mmd", which asks only that the latents of all pictures together look like the prior's
                [Tolstikhin et al. 2018, "Wasserstein auto-encoders"; Zhao et al. 2019, "InfoVAE"]: the loss has the
                term `mmd` in place of `kl`, `beta` times `kgen.losses.maximum_mean_discrepancy` of latents drawn from
                q(z|x). That is a number of about 1, not of nats per image: choose a `beta` of the size of the
                reconstruction term, in the hundreds or thousands.
            scales_weight: of the pictures at coarser scales, where the decoder makes them: the loss then has the term
                `scales`, this weight times the negative log-likelihoods of the training pictures averaged down to each
                of these scales. It is no part of the bound; `reconstruction` is of the full resolution alone.
            perceptual: adds the term `perceptual`, how far reconstructions are from pictures in features of a network:
                a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
                "efficientnet_lite0" [Hou et al. 2017, "Deep feature consistent variational autoencoder"]. One that has
                no name is not saved with the model.
            perceptual_weight: of that term beside nats per image.
            loss: the discriminator's, a `kgen.losses.AdversarialLoss` or its short name; "auto" is "non_saturating".
            penalties, mixing, augmentation: for the discriminator; see `GAN.compile`.
            adversarial_weight: of the discriminator's word beside reconstruction and KL, in nats per image.
            classification_weight, feature_matching: within the discriminator's word; see `GAN.compile`.
            **kwargs: `metrics`, measures of `kgen.metrics` for `evaluate` and validation; `run_eagerly`,
                `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for a negative weight, an unknown divergence, free nats without a KL term, or arguments of a
                discriminator that the model does not have.
        """
        own = (beta, warmup_steps, free_nats, divergence, scales_weight, perceptual, perceptual_weight)
        judging = (loss, penalties, mixing, augmentation, adversarial_weight, classification_weight, feature_matching)
        self.choose_losses(*own, *judging)
        super().compile(optimizer, **kwargs)

    def choose_losses(
        self,
        beta=1.0,
        warmup_steps=0,
        free_nats=0.0,
        divergence="kl",
        scales_weight=1.0,
        perceptual=None,
        perceptual_weight=1.0,
        loss="auto",
        penalties="auto",
        mixing=None,
        augmentation=None,
        adversarial_weight=1.0,
        classification_weight=1.0,
        feature_matching=0.0,
    ):
        """What `compile` chooses beside the optimizer; see there."""
        weights = {"beta": beta, "free_nats": free_nats, "adversarial_weight": adversarial_weight}
        for name, value in {**weights, "scales_weight": scales_weight}.items():
            if value < 0:
                raise ValueError(f"VAE.compile: {name} must not be negative; got {value}.")
        if isinstance(warmup_steps, bool) or not isinstance(warmup_steps, int) or warmup_steps < 0:
            raise ValueError(f"VAE.compile: warmup_steps must be an integer of at least 0; got {warmup_steps!r}.")
        if divergence not in ("kl", "mmd"):
            raise ValueError(f"VAE.compile: divergence must be 'kl' or 'mmd'; got {divergence!r}.")
        if free_nats and divergence != "kl":
            raise ValueError("VAE.compile: free_nats are of the divergence 'kl'; leave them out with 'mmd'.")
        self.beta = beta
        self.warmup_steps = warmup_steps
        self.free_nats = free_nats
        self.divergence = divergence
        self.scales_weight = scales_weight
        self.perceptual = PerceptualTerm.of("VAE", perceptual, perceptual_weight)
        self.adversarial_weight = adversarial_weight
        self.adversary = None
        judging = (loss, penalties, mixing, augmentation, classification_weight, feature_matching)
        if self.discriminator is not None:
            self.adversary = self.judged_by(*judging)
        elif judging != ("auto", "auto", None, None, 1.0, 0.0):
            raise ValueError(
                "VAE.compile: loss, penalties, mixing, augmentation, classification_weight and feature_matching are a "
                "discriminator's; this model was built without one."
            )

    def losses_config(self):
        """The arguments of `choose_losses`, serialized."""
        return {
            **(self.adversary.get_config() if self.adversary else {}),
            **(self.perceptual.get_config() if self.perceptual else {}),
            "beta": self.beta,
            "warmup_steps": self.warmup_steps,
            "free_nats": self.free_nats,
            "divergence": self.divergence,
            "scales_weight": self.scales_weight,
            "adversarial_weight": self.adversarial_weight,
        }

    def default_optimizer(self, phase):
        """Adam; with less momentum for the discriminator."""
        return keras.optimizers.Adam(1e-3) if phase == "autoencoder" else keras.optimizers.Adam(4e-4, beta_1=0.5)

    def phases(self):
        """The discriminator where there is one, then encoder, decoder and what the likelihood learns together."""
        # A likelihood may learn too.
        parts = (self.encoder, self.decoder, self.reconstruction)
        variables = [variable for part in parts for variable in getattr(part, "trainable_variables", ())]
        terms = ["reconstruction", self.divergence]
        terms += ["scales"] * self.multiscale + ["perceptual"] * (self.perceptual is not None)
        terms += ["adversarial"] * (self.adversary is not None)
        measures = ("active_units", *self.level_names)
        autoencoder = Phase("autoencoder", self.autoencoder_loss, variables, terms=tuple(terms), measures=measures)
        return [autoencoder] if self.adversary is None else [self.discriminator_phase(), autoencoder]

    @property
    def generating_phase(self):
        """Name of the phase that trains the network which generates."""
        return "autoencoder"

    def autoencoder_loss(self, batch, training):
        """Reconstruction and divergence, the discriminator's word on pictures from the prior, and active units."""
        images, condition = parted(batch)
        posterior = self.training_posterior if training else self.evaluation_posterior
        mean, log_variance, latents, scales = self.infer_scales(images, condition, posterior, training=training)
        if self.divergence == "kl":
            divergence = losses.gaussian_kl(mean, log_variance, self.free_nats)
        else:
            divergence = losses.maximum_mean_discrepancy(latents, self.noise(images, training))
        parts = {
            "reconstruction": self.reconstruction.loss(images, scales[-1]),
            self.divergence: self.divergence_weight(training) * divergence,
            "active_units": losses.active_units(mean),
        }
        if self.multiscale:
            coarser = sum(self.reconstruction.loss(ladder.averaged_down(images, scale), scale) for scale in scales[:-1])
            parts["scales"] = self.scales_weight * coarser
        if self.perceptual is not None:
            drawn = self.reconstruction.mean(ops.cast(scales[-1], "float32"))
            parts["perceptual"] = self.perceptual.loss(0.5 * images + 0.5, 0.5 * drawn + 0.5)
        for name, *moments in zip(self.level_names, self.by_level(mean), self.by_level(log_variance)):
            parts[name] = losses.gaussian_kl(*moments)
        if self.adversary is not None:
            fake = self.generated(images, condition, training)
            word = self.adversary.generator_loss(images, fake, condition, training, self.seeds(training))
            parts["adversarial"] = self.adversarial_weight * word
        return parts

    def divergence_weight(self, training):
        """`beta`; in training what it has grown to by this step."""
        if not training or not self.warmup_steps:
            return self.beta
        return self.beta * ops.minimum(self.average.updates / self.warmup_steps, 1.0)

    def generated(self, like, condition, training):
        outputs = feed(self.decoder, "latents", self.noise(like, training), condition, training)
        return self.reconstruction.mean(ops.cast(outputs, "float32"))

    def after_step(self):
        """Updates the averaged decoder."""
        self.average.update(self.decoder)

    def synthesize(self, latents, condition):
        """Images in [-1, 1] from the averaged decoder."""
        outputs = feed(self.average.network, "latents", latents, condition, False)
        return self.reconstruction.mean(ops.cast(outputs, "float32"))

    def call(self, images):
        """Reconstructions in [-1, 1] of images in [-1, 1], or of `{"images", "pooled", ...}`."""
        batch = images if isinstance(images, dict) else {"images": images}
        images, condition = parted(batch)
        return self.reconstruction.mean(self.infer(images, condition, averaged=True)[-1])

    # === Config ===
    def get_config(self):
        parts = {key: getattr(self, key) for key in ("encoder", "decoder", "discriminator", "reconstruction")}
        serialized = {key: keras.saving.serialize_keras_object(part) for key, part in parts.items()}
        return {**super().get_config(), **serialized}

    @classmethod
    def from_config(cls, config):
        keys = ("encoder", "decoder", "discriminator", "reconstruction")
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in keys}
        return cls(**{**config, **parts})

    def get_compile_config(self):
        return {**super().get_compile_config(), **self.losses_config()} if self.compiled else {}


def reconstruction_of(argument):
    """The `kgen.losses.Reconstruction` that a VAE's argument stands for."""
    automatic = isinstance(argument, str) and argument == "auto"
    return losses.get("reconstruction loss", losses.Gaussian(0.5) if automatic else argument)


def decoded_shape(image_shape, reconstruction):
    """The shape of a decoder's outputs that describe pictures of a shape."""
    *size, channels = image_shape
    return *size, channels * getattr(reconstruction, "channels", 1)
