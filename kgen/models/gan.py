"""Generative adversarial networks."""

from __future__ import annotations

import keras

from kgen import networks
from kgen.models.adversary import Adversary, feed, parted
from kgen.models.generative_model import GenerativeModel, check_network, named_input
from kgen.training import Phase


@keras.saving.register_keras_serializable(package="kgen")
class GAN(GenerativeModel):
    """A generator and a discriminator that learn from each other [Goodfellow et al. 2014].

    Each step first trains the discriminator to tell real pictures from generated ones, then the generator to deceive
    it. The logs name `discriminator_loss` and `generator_loss`.

    Args:
        generator: built `keras.Model` from latents `(batch, latent_dim)` to images `(batch, H, W, C)` in [-1, 1];
            for a conditional GAN from `{"latents", "pooled"}` (and `tokens`, `mask` for text).
        discriminator: built `keras.Model` from images, or `{"images", "pooled"}`, to logits `(batch, 1)`.
        latent_dim: length of a latent vector.
        num_classes: number of classes for a class-conditional GAN, whose `pooled` is the one-hot label.
        ema_momentum: of the average of the generator's weights, which is what `generate` uses.
        seed: integer or None; where training's random numbers begin.

    Raises:
        ValueError: if the shapes of the networks do not fit together.

    Example:

    ```python
    gan = kgen.models.GAN.from_image_shape((32, 32, 3))
    gan.compile()
    gan.fit(images, epochs=10, batch_size=32)       # uint8, or float in [0, 1] or [-1, 1]
    pictures = gan.generate(16, seed=0)             # uint8 (16, 32, 32, 3)
    ```
    """

    def __init__(self, generator, discriminator, latent_dim, num_classes=None, ema_momentum=0.999, seed=None, **kwargs):
        super().__init__(generator, latent_dim, num_classes, ema_momentum, seed, **kwargs)
        check_discriminator("GAN", discriminator, self.image_shape)
        # === Layers ===
        self.generator = generator
        self.discriminator = discriminator
        self.choose_losses()
        self.built = True

    @classmethod
    def from_image_shape(cls, image_shape, latent_dim=128, num_classes=None, architecture="multiscale", **kwargs):
        """A GAN with networks for pictures of this shape.

        Args:
            image_shape: `(height, width, channels)`.
            latent_dim: length of a latent vector.
            num_classes: number of classes of a class-conditional GAN; None without labels.
            architecture: "multiscale", a `MultiscaleDecoder` and a matching `MultiscaleEncoder`, convolutional, for 32
                to 256 pixels a side; "perceptron", dense layers alone, for pictures of about 28 x 28.
            **kwargs: as of `GAN`.

        Raises:
            ValueError: for another architecture, or a shape that it cannot draw.
        """
        if architecture == "perceptron":
            generator = networks.perceptron_generator(image_shape, latent_dim, num_classes)
            discriminator = networks.perceptron_discriminator(image_shape, num_classes)
            return cls(generator, discriminator, latent_dim, num_classes=num_classes, **kwargs)
        if architecture != "multiscale":
            raise ValueError(f'GAN: architecture must be "multiscale" or "perceptron"; got {architecture!r}.')
        generator = networks.MultiscaleDecoder(
            image_shape, latent_dim, pooled_dim=num_classes, output_activation="tanh", name="generator"
        )
        discriminator = networks.MultiscaleEncoder(image_shape, 1, pooled_dim=num_classes, name="discriminator")
        return cls(generator, discriminator, latent_dim, num_classes=num_classes, **kwargs)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        penalties="auto",
        mixing=None,
        augmentation=None,
        discriminator_steps=1,
        **kwargs,
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 2e-4, beta_1 0.5), one optimizer, or a dict with `discriminator` and `generator`.
            loss: a `kgen.losses.AdversarialLoss` or its short name: "non_saturating", which "auto" is, "minimax",
                "least_squares", "hinge", "wasserstein" or "relativistic".
            penalties: list of `kgen.losses.Penalty`, or one; "auto" is `[R1(1.0)]`, `[]` is none.
            mixing: a `kgen.losses.Mixup`: the discriminator sees mixtures of real and generated pictures; None: sees
                both as they are.
            augmentation: a `kgen.layers.DiffAugment` of all that the discriminator sees, for sets of few pictures.
            discriminator_steps: steps of the discriminator for each one of the generator; each has a batch of its own.
            **kwargs: `metrics`, measures of `kgen.metrics` for `evaluate` and validation; `run_eagerly`,
                `steps_per_execution`, `jit_compile`.
        """
        self.choose_losses(loss, penalties, mixing, augmentation, discriminator_steps)
        super().compile(optimizer, **kwargs)

    def choose_losses(self, loss="auto", penalties="auto", mixing=None, augmentation=None, discriminator_steps=1):
        """What `compile` chooses beside the optimizer; see there."""
        if isinstance(discriminator_steps, bool) or not isinstance(discriminator_steps, int) or discriminator_steps < 1:
            raise ValueError(
                f"GAN.compile: discriminator_steps must be an integer of at least 1; got {discriminator_steps!r}."
            )
        self.adversary = Adversary.from_arguments(self.discriminator, loss, penalties, mixing, augmentation)
        self.discriminator_steps = discriminator_steps

    def losses_config(self):
        """The arguments of `choose_losses`, serialized."""
        return {**self.adversary.get_config(), "discriminator_steps": self.discriminator_steps}

    def default_optimizer(self, phase):
        """Adam with little momentum, as Radford et al. 2016 found it to suit two players."""
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    def phases(self):
        """The discriminator, then the generator."""
        return [
            Phase(
                "discriminator",
                self.discriminator_loss,
                self.discriminator.trainable_variables,
                terms=self.adversary.terms,
            ),
            Phase(
                "generator",
                self.generator_loss,
                self.generator.trainable_variables,
                every=self.discriminator_steps,
            ),
        ]

    @property
    def generating_phase(self):
        """Name of the phase that trains the network which generates."""
        return "generator"

    def discriminator_loss(self, batch, training):
        """L_D, and the penalties, on real pictures and generated ones."""
        real, condition = parted(batch)
        fake = self._fake(real, condition, training)
        return self.adversary.discriminator_loss(
            real, fake, condition, training, self.seeds(training), self.average.updates
        )

    def generator_loss(self, batch, training):
        """L_G on generated pictures."""
        real, condition = parted(batch)
        fake = self._fake(real, condition, training)
        return self.adversary.generator_loss(real, fake, condition, training, self.seeds(training))

    def _fake(self, real, condition, training):
        return feed(self.generator, "latents", self.noise(real, training), condition, training)

    def after_step(self):
        """Updates the averaged generator."""
        self.average.update(self.generator)

    def synthesize(self, latents, condition):
        """Images in [-1, 1] from the averaged generator."""
        return feed(self.average.network, "latents", latents, condition, False)

    def call(self, inputs):
        """Images in [-1, 1] from latents, or from `{"latents", "pooled"}`."""
        return self.average.network(inputs, training=False)

    # === Config ===
    def get_config(self):
        return {
            **super().get_config(),
            "generator": keras.saving.serialize_keras_object(self.generator),
            "discriminator": keras.saving.serialize_keras_object(self.discriminator),
        }

    @classmethod
    def from_config(cls, config):
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in ("generator", "discriminator")}
        return cls(**{**config, **parts})

    def get_compile_config(self):
        return {**super().get_compile_config(), **self.losses_config()} if self.compiled else {}


def check_discriminator(owner, discriminator, image_shape):
    """Raises unless the network takes such images and gives one logit each."""
    check_network(owner, "discriminator", discriminator)
    images = named_input(owner, discriminator, "images")
    if tuple(images.shape[1:]) != tuple(image_shape):
        raise ValueError(
            f"{owner}: the discriminator takes images of shape {tuple(images.shape[1:])}; {tuple(image_shape)} are "
            "generated."
        )
    if discriminator.output_shape not in ((None, 1), (None,)):
        raise ValueError(
            f"{owner}: the discriminator must give one logit a picture, shape (batch, 1); got "
            f"{discriminator.output_shape}."
        )
