"""Better pictures from spoiled ones, learned from clean pictures alone."""

from __future__ import annotations

import math

import keras
from keras import ops

from kgen import losses, networks
from kgen.layers import Degradation, Downscale, RandomMask
from kgen.metrics import peak_signal_to_noise_ratio
from kgen.models.adversary import Adversary
from kgen.models.judged_model import check_discriminator
from kgen.models.perceptual_term import PerceptualTerm
from kgen.models.restoring_model import RestoringModel
from kgen.models.tiles import MULTIPLE
from kgen.training import MovingAverage, Phase


@keras.saving.register_keras_serializable(package="kgen")
class ImageRestorer(RestoringModel):
    """A network that undoes what layers did to pictures: noise, blur, JPEG, small size, missing parts, bad light.

    Trained on clean pictures alone, patches of any one size: each step spoils them anew by the degradations, in their
    order, and the network is to give back what they were. The weights are averaged over training; the average is what
    `restore`, `evaluate` and validation use. The logs name `psnr`, of restored against clean pictures, in dB.

    Args:
        degradations: list of `kgen.layers.Degradation`: `GaussianNoise`, `PoissonNoise`, `Blur`, `JpegCompression`,
            `Downscale`, `LowLight`, `ColorCast`, or your own; and last, for missing parts, `RandomMask`. They draw from
            the model's random numbers.
        scale: how many times larger a restored picture is; where no degradation shrinks pictures so, `Downscale(scale)`
            comes first.
        channels: of the pictures, 3 or 1.
        network: built `keras.Model` from pictures `(batch, H, W, channels)` in [0, 1], with `RandomMask` one channel
            more, to `(batch, scale * H, scale * W, channels)`, of any H and W that are multiples of 8; None for a
            `kgen.networks.restoration_network`.
        discriminator: optional network from pictures in [-1, 1], of the size of the patches, to logits `(batch, 1)`:
            pictures are also to convince it [Ledig et al. 2017, "Photo-realistic single image super-resolution using a
            generative adversarial network"].
        ema_momentum: of the average of the weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.

    Raises:
        TypeError: for what is no degradation.
        ValueError: for degradations that do not shrink pictures as `scale` says, a `RandomMask` that is not the last,
            or a network of other shapes.

    Example:

    ```python
    restorer = kgen.models.ImageRestorer([kgen.layers.GaussianNoise((0, 50))])
    restorer.compile()
    restorer.fit(kgen.data.random_patches(pictures, 64, count=4000, seed=0), epochs=10)
    restorer.restore(photo)                 # uint8, of any size; with alpha if it has alpha
    ```
    """

    draws_pairs = True

    def __init__(
        self,
        degradations,
        scale=1,
        channels=3,
        network=None,
        discriminator=None,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(seed=seed, **kwargs)
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ValueError(f"ImageRestorer: scale must be an integer of at least 1; got {scale!r}.")
        self.degradations = checked_degradations(degradations, scale)
        self.scale = scale
        self.channels = channels
        self.image_shape = (None, None, channels)
        self.masked = isinstance(self.degradations[-1], RandomMask)
        # What was there is to stay as it was, unless it too was spoiled.
        self.keeps_known = self.masked and len(self.degradations) == 1
        if network is None:
            network = networks.restoration_network(channels, scale, self.masked)
        _check_network(network, channels, scale, self.masked)
        # === Layers ===
        self.network = network
        self.average = MovingAverage(network, ema_momentum)
        self.ema_momentum = ema_momentum
        self.discriminator = discriminator
        if discriminator is not None:
            check_discriminator("ImageRestorer", discriminator, getattr(discriminator, "input_shape", ())[1:])
        self.choose_losses()
        self.built = True

    # === Training ===
    def compile(
        self,
        optimizer="auto",
        loss="auto",
        perceptual=None,
        perceptual_weight=0.1,
        adversarial_loss="auto",
        penalties="auto",
        adversarial_weight=0.01,
        **kwargs,
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3), one optimizer, or a dict with `network` and, where the model has one,
                `discriminator`.
            loss: of pixels in [0, 1]: "l1", "l2", "charbonnier" or a `kgen.losses.PixelLoss`; "auto" is "l1".
            perceptual: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
                "efficientnet_lite0"; None for none. Other than by name it is not saved with the model.
            perceptual_weight: of it beside the loss of pixels.
            adversarial_loss, penalties: for the discriminator; see `loss` and `penalties` of `GAN.compile`.
            adversarial_weight: of the discriminator's word beside the loss of pixels.
            **kwargs: `metrics`, measures of `kgen.metrics` for `evaluate` and validation; `run_eagerly`,
                `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for a loss that is none, or a negative weight.
        """
        self.choose_losses(loss, perceptual, perceptual_weight, adversarial_loss, penalties, adversarial_weight)
        super().compile(optimizer, **kwargs)

    def choose_losses(
        self,
        loss="auto",
        perceptual=None,
        perceptual_weight=0.1,
        adversarial_loss="auto",
        penalties="auto",
        adversarial_weight=0.01,
    ):
        """What `compile` chooses beside the optimizer; see there."""
        if adversarial_weight < 0:
            raise ValueError(
                f"ImageRestorer.compile: adversarial_weight must not be negative; got {adversarial_weight}."
            )
        self.loss_of_pixels = losses.get("pixel loss", "l1" if isinstance(loss, str) and loss == "auto" else loss)
        self.perceptual = PerceptualTerm.of("ImageRestorer", perceptual, perceptual_weight)
        self.adversarial_weight = adversarial_weight
        self.adversary = None
        if self.discriminator is not None:
            self.adversary = Adversary(self.discriminator, adversarial_loss, penalties)
        elif (adversarial_loss, penalties) != ("auto", "auto"):
            raise ValueError(
                "ImageRestorer.compile: adversarial_loss and penalties are a discriminator's; this model was built "
                "without one."
            )

    def get_compile_config(self):
        config = super().get_compile_config()
        if not config:
            return config
        if self.adversary is not None:
            adversary = self.adversary.get_config()
            config |= {"adversarial_loss": adversary["loss"], "penalties": adversary["penalties"]}
        if self.perceptual is not None:
            config |= self.perceptual.get_config()
        return config | {
            "loss": keras.saving.serialize_keras_object(self.loss_of_pixels),
            "adversarial_weight": self.adversarial_weight,
        }

    def default_optimizer(self, phase):
        """Adam; with less momentum for the discriminator."""
        return keras.optimizers.Adam(1e-3) if phase == "network" else keras.optimizers.Adam(4e-4, beta_1=0.5)

    def phases(self):
        """The discriminator where there is one, then the network."""
        names = ["pixels"] + ["perceptual"] * (self.perceptual is not None) + ["adversarial"] * bool(self.adversary)
        terms = tuple(names) if len(names) > 1 else ()
        variables = self.network.trainable_variables
        network = Phase("network", self.network_loss, variables, terms=terms, measures=("psnr",))
        if self.adversary is None:
            return [network]
        judging = self.adversary.terms, self.adversary.measures
        variables = self.discriminator.trainable_variables
        return [Phase("discriminator", self.discriminator_loss, variables, 1, *judging), network]

    def prepare(self, x, y=None):
        """The batch that the losses see: `images` in [-1, 1]."""
        images = self.to_network(x["images"] if isinstance(x, dict) else x)
        sides, divisor = images.shape[1:3], max(2, self.scale)
        if any(side is None or side % divisor for side in sides):
            raise ValueError(
                f"ImageRestorer: it trains on patches of known sides that {divisor} divides; got {sides[0]} x "
                f"{sides[1]}. kgen.data.random_patches cuts such from pictures."
            )
        return {"images": images}

    def examine_others(self, others, count):
        """Refuses whatever comes with the pictures."""
        if others.get("y") is not None:
            raise ValueError("ImageRestorer: it learns from clean pictures alone; leave out what belongs to them.")

    def degraded(self, images, seed):
        """Pictures `(batch, H, W, channels)` in [0, 1] after all degradations, drawn with a `SeedGenerator`."""
        for layer in self.degradations:
            images = layer.degrade(images, seed)
        return images

    def attempt(self, batch, training):
        """Clean pictures and what was made of spoiled ones, both in [0, 1]."""
        clean = 0.5 * batch["images"] + 0.5
        degraded = self.degraded(clean, self.seeds(training))
        return clean, self.restored(degraded, self.network if training else self.average, training)

    def network_loss(self, batch, training):
        """The loss of pixels, the network's and the discriminator's word where they are asked, and PSNR."""
        clean, restored = self.attempt(batch, training)
        psnr = peak_signal_to_noise_ratio(255.0 * clean, 255.0 * ops.clip(ops.stop_gradient(restored), 0.0, 1.0))
        parts = {"pixels": self.loss_of_pixels.loss(clean, restored)}
        if self.perceptual is not None:
            parts["perceptual"] = self.perceptual.loss(clean, restored)
        if self.adversary is not None:
            fake = 2.0 * restored - 1.0
            word = self.adversary.generator_loss(batch["images"], fake, {}, training, self.seeds(training))
            parts["adversarial"] = self.adversarial_weight * word
        if len(parts) == 1:
            parts = {"loss": parts["pixels"]}
        return {**parts, "psnr": psnr}

    def discriminator_loss(self, batch, training):
        """The adversary's loss on clean pictures and on restored ones."""
        _, restored = self.attempt(batch, training)
        fake, seeds = 2.0 * restored - 1.0, self.seeds(training)
        return self.adversary.discriminator_loss(batch["images"], fake, {}, training, seeds, self.average.updates)

    def after_step(self):
        """Updates the averaged weights."""
        self.average.update(self.network)

    def counterparts(self, batch, paired):
        """The restored pictures of those of a batch, in [-1, 1]."""
        return 2.0 * self.attempt(batch, training=False)[1] - 1.0

    # === Config ===
    def get_config(self):
        discriminator = self.discriminator
        return {
            **super().get_config(),
            "degradations": [keras.saving.serialize_keras_object(layer) for layer in self.degradations],
            "scale": self.scale,
            "channels": self.channels,
            "network": keras.saving.serialize_keras_object(self.network),
            "discriminator": None if discriminator is None else keras.saving.serialize_keras_object(discriminator),
            "ema_momentum": self.ema_momentum,
        }

    @classmethod
    def from_config(cls, config):
        parts = ("degradations", "network", "discriminator")
        return cls(**{**config, **{name: keras.saving.deserialize_keras_object(config[name]) for name in parts}})


def checked_degradations(degradations, scale):
    """The degradations of a model that makes pictures `scale` times as large; see `ImageRestorer`."""
    layers = list(degradations) if isinstance(degradations, (list, tuple)) else [degradations]
    wrong = [layer for layer in layers if not isinstance(layer, Degradation)]
    if wrong:
        raise TypeError(
            "ImageRestorer: degradations must be kgen.layers.Degradation, such as kgen.layers.GaussianNoise(25); got "
            f"{wrong[0]!r}."
        )
    if scale > 1 and all(layer.shrinks == 1 for layer in layers):
        layers = [Downscale(scale), *layers]
    shrunk = math.prod(layer.shrinks for layer in layers)
    if shrunk != scale:
        raise ValueError(f"ImageRestorer: the degradations shrink pictures by {shrunk}; scale is {scale}.")
    if not layers:
        raise ValueError("ImageRestorer: without a degradation, or a scale above 1, there is nothing to learn.")
    if any(isinstance(layer, RandomMask) for layer in layers[:-1]):
        raise ValueError("ImageRestorer: RandomMask must be the last of the degradations.")
    return layers


def _check_network(network, channels, scale, masked):
    if not isinstance(network, keras.Model) or not network.built:
        raise ValueError(f"ImageRestorer: network must be a built keras.Model; got {network!r}.")
    takes, side = network.input_shape, 2 * MULTIPLE
    given = network.compute_output_shape((1, side, side, takes[-1])) if isinstance(takes, tuple) else None
    if takes != (None, None, None, channels + masked) or tuple(given) != (1, scale * side, scale * side, channels):
        raise ValueError(
            f"ImageRestorer: network must be from {(None, None, None, channels + masked)} to pictures {scale} times as "
            f"large, of {channels} channels; it takes {takes} and makes {given} of {side} x {side} pixels."
        )
