"""Generative adversarial networks."""

from __future__ import annotations

import keras

from kgen import networks
from kgen.models.inversion import invert
from kgen.models.judged_model import JudgedModel
from kgen.models.network_inputs import feed, parted
from kgen.training import Phase


@keras.saving.register_keras_serializable(package="kgen")
class GAN(JudgedModel):
    """A generator and a discriminator that learn from each other [Goodfellow et al. 2014].

    Each step first trains the discriminator to tell real pictures from generated ones, then the generator to deceive
    it. The logs name `discriminator_loss` and `generator_loss`, and `discriminator_accuracy`: of pairs of a real and a
    generated picture, the share of which the real one is judged the more real. At 0.5 the discriminator cannot tell,
    at 1 it always wins.

    Args:
        generator: built `keras.Model` from latents `(batch, latent_dim)` to images `(batch, H, W, C)` in [-1, 1];
            for a conditional GAN from `{"latents", "pooled"}` (and `tokens`, `mask` for text).
        discriminator: built `keras.Model` from images, or `{"images", "pooled"}`, to logits `(batch, 1)`; or from
            images alone to `{"logits": (batch, 1), "labels": (batch, num_classes)}`, with an auxiliary classifier
            (AC-GAN), which learns to `classify` as well.
        latent_dim: length of a latent vector.
        num_classes: number of classes for a class-conditional GAN, whose `pooled` is the one-hot label.
        ema_momentum: of the average of the generator's weights, which is what `generate` uses.
        seed: integer or None; where training's random numbers begin.
        **kwargs: `postprocessing`, layers for what `generate` gives, as of `DrawingModel`; `name`, `dtype`.

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
        # === Layers ===
        self.generator = generator
        self.take_discriminator(discriminator)
        self.choose_losses()
        self.built = True

    @classmethod
    def from_image_shape(
        cls,
        image_shape,
        latent_dim=128,
        num_classes=None,
        architecture="auto",
        size="small",
        conditioning="projection",
        attention_resolutions=(),
        **kwargs,
    ):
        """A GAN with networks for pictures of this shape.

        Args:
            image_shape: `(height, width, channels)`. For all but "perceptron", halving both sides equally often must
                bring the shorter one to 4, 5, 6 or 7: 28, 32, 48, 64, 96 and 128 do.
            latent_dim: length of a latent vector.
            num_classes: number of classes of a class-conditional GAN; None without labels.
            architecture: "perceptron", dense layers alone; "dcgan" (Radford et al. 2016); "resnet" with spectral
                normalisation (Miyato et al. 2018); "r3gan" (Huang et al. 2024); "multiscale", a `MultiscaleDecoder`
                and a `MultiscaleEncoder`; "auto", what learns quickest: "perceptron" below 16 pixels a side and
                "dcgan" from there.
            size: "small", for a CPU, "medium" or "large".
            conditioning: how the discriminator deals with classes: "projection", it is told the class and asks whether
                the picture fits it too; "classifier", it says the class (AC-GAN), so that the model can `classify`.
            attention_resolutions: shorter sides of the grids with self-attention, in both networks.
            **kwargs: as of `GAN`.

        Raises:
            ValueError: for a name that there is not, or a shape that the architecture cannot draw.
        """
        generator, discriminator = networks.generator_and_discriminator(
            cls.__name__,
            image_shape,
            latent_dim,
            num_classes,
            architecture,
            size,
            conditioning,
            attention_resolutions,
        )
        return cls(generator, discriminator, latent_dim, num_classes=num_classes, **kwargs)

    def compile(
        self,
        optimizer="auto",
        loss="auto",
        penalties="auto",
        mixing=None,
        augmentation=None,
        discriminator_steps=1,
        classification_weight=1.0,
        feature_matching=0.0,
        **kwargs,
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3, beta_1 0, beta_2 0.99), one optimizer, or a dict with `discriminator` and
                `generator`.
            loss: a `kgen.losses.AdversarialLoss` or its short name: "non_saturating", which "auto" is, "minimax",
                "least_squares", "hinge", "wasserstein" or "relativistic".
            penalties: list of `kgen.losses.Penalty`, or one; `[]` is none. "auto" is `[R1(1.0, every=8)]`, but none
                where the discriminator has batch normalisation, as then a picture's slope depends on the others in the
                batch. By name: "r1", "r2", "gradient_penalty", "dragan".
            mixing: a `kgen.losses.Mixup` or "mixup": the discriminator sees mixtures of real and generated pictures;
                None: sees both as they are.
            augmentation: a `kgen.layers.DiffAugment` of all that the discriminator sees, for sets of few pictures; or
                an `AdaptiveAugment`, which augments only as much as it must. By name: "diff_augment",
                "adaptive_augment".
            discriminator_steps: steps of the discriminator for each one of the generator; each has a batch of its own.
            classification_weight: of the labels' cross-entropy, where the discriminator has a classifier: the
                discriminator minimises it on real pictures, the generator on its own.
            feature_matching: weight, in the generator's loss, of `kgen.losses.feature_matching` of the features that
                `kgen.networks.feature_network` finds in the discriminator.
            **kwargs: `metrics`, measures of `kgen.metrics` for `evaluate` and validation; `run_eagerly`,
                `steps_per_execution`, `jit_compile`.
        """
        self.choose_losses(
            loss, penalties, mixing, augmentation, discriminator_steps, classification_weight, feature_matching
        )
        super().compile(optimizer, **kwargs)

    def choose_losses(
        self,
        loss="auto",
        penalties="auto",
        mixing=None,
        augmentation=None,
        discriminator_steps=1,
        classification_weight=1.0,
        feature_matching=0.0,
    ):
        """What `compile` chooses beside the optimizer; see there."""
        if isinstance(discriminator_steps, bool) or not isinstance(discriminator_steps, int) or discriminator_steps < 1:
            raise ValueError(
                f"GAN.compile: discriminator_steps must be an integer of at least 1; got {discriminator_steps!r}."
            )
        self.adversary = self.judged_by(loss, penalties, mixing, augmentation, classification_weight, feature_matching)
        self.discriminator_steps = discriminator_steps

    def losses_config(self):
        """The arguments of `choose_losses`, serialized."""
        return {**self.adversary.get_config(), "discriminator_steps": self.discriminator_steps}

    def default_optimizer(self, phase):
        """Adam without momentum, which two players turn into circles; quick, as what generates is the average."""
        return keras.optimizers.Adam(1e-3, beta_1=0.0, beta_2=0.99)

    def phases(self):
        """The discriminator, then the generator."""
        return [
            self.discriminator_phase(),
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

    def generator_loss(self, batch, training):
        """L_G on generated pictures."""
        real, condition = parted(batch)
        fake = self.generated(real, condition, training)
        return self.adversary.generator_loss(real, fake, condition, training, self.seeds(training))

    def generated(self, like, condition, training):
        return feed(self.generator, "latents", self.noise(like, training), condition, training)

    def after_step(self):
        """Updates the averaged generator."""
        self.average.update(self.generator)

    def synthesize(self, latents, condition):
        """Images in [-1, 1] from the averaged generator."""
        return feed(self.average.network, "latents", latents, condition, False)

    def call(self, inputs):
        """Images in [-1, 1] from latents, or from `{"latents", "pooled"}`."""
        return self.average.network(inputs, training=False)

    # === Pictures to latents and back ===
    def encode(self, images, labels=None, steps=300, seed=0, batch_size=64, verbose="auto"):
        """Latents whose pictures come near to given ones, found by gradient descent; see `kgen.models.inversion`.

        A picture that the generator cannot draw has no such latents; what comes is near to it. The descent may also
        end in a local minimum: another seed begins elsewhere.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            labels: integers `(N,)` for a model with `num_classes`, else None.
            steps: of the descent, at least 1; each costs about three pictures generated.
            seed: an integer; the same one gives the same latents, for a picture alone as in a batch.
            batch_size: pictures at once.
            verbose: 0: silent; 1 or "auto": a progress bar.

        Returns:
            float32 array `(N, latent_dim)`, for `decode`.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, wrong labels, or a number out of range.
        """
        pixel_range = self.find_range(images, some_of_many=True, owner="GAN.encode")
        conditions = self.condition_of("encode", labels, len(images))
        for name, value in (("steps", steps), ("batch_size", batch_size)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"GAN.encode: {name} must be an integer of at least 1; got {value!r}.")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"GAN.encode: seed must be an integer; got {seed!r}.")
        return invert(self, images, pixel_range, conditions, steps, seed, batch_size, verbose)

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
