"""Autoencoders of images; other models learn in their latents."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks, networks
from kgen.inference.tiled import in_tiles
from kgen.inputs import PatchInput, pixels
from kgen.layers.borders import in_whole_multiples
from kgen.models.image_model import ImageModel
from kgen.networks.interface import check_discriminator, check_network, warn_of_ending
from kgen.objectives import Likeness, PerceptualCompression
from kgen.sampling.tiles import MULTIPLE, Tiles, levels
from kgen.serializable import arguments_of, serializable, split_arguments
from kgen.training import MovingAverage
from kgen.types import Array, Tensor, ValueRange, Verbose


@serializable
class Autoencoder(ImageModel):
    """Encodes images to a grid of latents, several times smaller, and back: a space where other models learn faster.

    It trains on patches of one size and then takes images of any size. The loss compares reconstructions with images;
    if the encoder gives log-variances, a light KL term also keeps latents near N(0, 1): see `compile`. The weights of
    both networks are averaged over training, and every method uses the averages. The logs name the `psnr` of
    reconstructions, in dB.

    Args:
        encoder: built `keras.Model` from images `(batch, H, W, channels)` in [-1, 1], of any H and W that `factor`
            divides, to latents `(batch, H / factor, W / factor, latent_channels)`; or to twice as many channels, means
            and then log-variances.
        decoder: built `keras.Model` from these latents to images `(batch, H, W, channels)` in [-1, 1].
        discriminator: optional network from images to logits `(batch, 1)`, or `(batch, h, w, 1)` for patches, such as a
            `kgen.networks.patch_discriminator`: reconstructions must also convince it.
        ema_momentum: momentum of the averages of the weights, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if a network is not a `keras.Model`.
        ValueError: if the shapes of the networks do not fit together.

    Example:

    ```python
    autoencoder = kgen.models.Autoencoder.tiny(latent_channels=8)
    autoencoder.compile()
    autoencoder.fit(images, epochs=10)              # uint8, or float in [0, 1] or [-1, 1], (N, 64, 64, 3)
    latents = autoencoder.encode(photo)             # float32 (H / 8, W / 8, 8)
    autoencoder.decode(latents)                     # uint8 (H, W, 3)
    ```
    """

    generates = pairs = True
    predicts_by = "reconstruct"

    def __init__(
        self,
        encoder: keras.Model,
        decoder: keras.Model,
        discriminator: keras.Model | None = None,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.channels, self.latent_channels, self.factor = _sizes(encoder, decoder)
        warn_of_ending("Autoencoder", "decoder", decoder, logits=False)
        # Whether the encoder gives a distribution of latents.
        self.gaussian = encoder.output_shape[-1] == 2 * self.latent_channels
        self.image_shape = (None, None, self.channels)
        if discriminator is not None:
            check_discriminator("Autoencoder", discriminator, self.image_shape)
        # === Layers ===
        self.encoder = encoder
        self.decoder = decoder
        self.discriminator = discriminator
        self.encoder_average = MovingAverage(encoder, ema_momentum)
        self.average = MovingAverage(decoder, ema_momentum)
        self.ema_momentum = ema_momentum
        # === Parts ===
        self.image_input = PatchInput("Autoencoder", self.image_shape, self.float_scale, self.factor)
        self.use_objective(PerceptualCompression())
        self.built = True

    # === Other ways to make one ===
    @classmethod
    def tiny(
        cls,
        channels: int = 3,
        latent_channels: int = 32,
        factor: int = 8,
        filters: int | Sequence[int] = 64,
        blocks: int | Sequence[int] = 3,
        adversarial: bool = False,
        **kwargs: Any,
    ) -> Autoencoder:
        """An untrained autoencoder with a `kgen.networks.tiny_encoder` and a `tiny_decoder`.

        Args:
            channels: channels of the images.
            latent_channels: channels of the latents; with fewer, models learn more easily; more keep finer detail.
            factor: how many times smaller the grid is: 4 or 8, or another power of 2.
            filters, blocks: of both networks; see `kgen.networks.tiny_encoder`.
            adversarial: whether to add a `kgen.networks.patch_discriminator`.
            **kwargs: `ema_momentum`, `seed`, `name`.

        Raises:
            ValueError: for another factor, or a number below 1.
        """
        sizes = factor, filters, blocks
        latent_channels = checks.integer("Autoencoder.tiny", "latent_channels", latent_channels)
        encoder = networks.tiny_encoder(channels, 2 * latent_channels, *sizes)
        # Noise with a deviation of 1 would drown the latents in the first thousands of steps.
        bias = encoder.layers[-1].bias
        bias.assign(ops.concatenate([bias[:latent_channels], ops.full((latent_channels,), -6.0)]))
        decoder = networks.tiny_decoder(channels, latent_channels, *sizes)
        discriminator = networks.patch_discriminator(channels) if adversarial else None
        return cls(encoder, decoder, discriminator, **kwargs)

    @classmethod
    def from_checkpoint(cls, encoder: str | os.PathLike, decoder: str | os.PathLike, **kwargs: Any) -> Autoencoder:
        """A published tiny autoencoder: TAESD, TAESDXL, TAESD3, TAEF1 or TAEF2, from its two files.

        Args:
            encoder, decoder: see `kgen.networks.read_tiny_autoencoder`.
            **kwargs: `ema_momentum`, `seed`, `name`.

        Raises:
            FileNotFoundError, ImportError, ValueError: for files that cannot be read.
        """
        return cls(*networks.read_tiny_autoencoder(encoder, decoder), **kwargs)

    @classmethod
    def of(cls, backbone: keras.Model, **kwargs: Any) -> Autoencoder:
        """The autoencoder of a KerasHub latent diffusion model.

        Args:
            backbone: a KerasHub `VAEBackbone`: the `vae` of a `keras_hub.models.StableDiffusion3Backbone`. Its weights
                are used as they are, not copied; its `scale` and `shift` are not applied.
            **kwargs: `ema_momentum`, `seed`, `name`.

        Raises:
            TypeError: if it has no encoder and decoder.
            ValueError: if it takes images with channels first.
        """
        if not all(isinstance(getattr(backbone, name, None), keras.layers.Layer) for name in ("encoder", "decoder")):
            raise TypeError(
                "Autoencoder.of: backbone must be a KerasHub VAEBackbone, such as the `vae` of a "
                f"StableDiffusion3Backbone; got {backbone!r}."
            )
        shape = tuple(backbone.input_shape)
        if shape[1:3] != (None, None):
            raise ValueError(
                f"Autoencoder.of: the backbone must take images (batch, H, W, channels); it takes {shape}."
            )
        images = keras.Input(shape[1:], name="images")
        moments = backbone.encoder(images)
        latents = keras.Input((None, None, moments.shape[-1] // 2), name="latents")
        encoder = keras.Model(images, moments, name="encoder")
        return cls(encoder, keras.Model(latents, backbone.decoder(latents), name="decoder"), **kwargs)

    # === Training ===
    def compile(self, optimizer: Any = "auto", kl_weight: float = 1e-4, **options: Any) -> None:
        """Chooses how to train; see `kgen.objectives.PerceptualCompression`.

        Args:
            optimizer: "auto" (Adam 1e-3), one optimizer, or a dict with `autoencoder` and, if the model has one,
                `discriminator`.
            kl_weight: weight of the KL divergence per latent number; the loss of pixels has weight 1.
            **options: of `kgen.objectives.Likeness`: `loss` of pixels, `perceptual`, such as "efficientnet_lite0" for
                sharper reconstructions, `perceptual_weight`, and its discriminator options; `metrics` from
                `kgen.metrics`, computed on images and reconstructions in `evaluate` and on the validation data of
                `fit`; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for an unknown option.
            ValueError: for an unknown loss, a negative weight, or discriminator options without a discriminator.
        """
        terms, options = split_arguments(Likeness, options)
        likeness = Likeness(**terms)
        self.use_objective(PerceptualCompression(likeness, kl_weight))
        super().compile(optimizer, config={**arguments_of(likeness), "kl_weight": kl_weight}, **options)

    def after_step(self) -> None:
        """Updates the averaged networks."""
        self.encoder_average.update(self.encoder)
        self.average.update(self.decoder)

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Images and their reconstructions."""
        return batch["images"], self.objective.attempt(batch["images"], training=False)[0]

    def moments(self, encoded: Tensor) -> tuple[Tensor, Tensor | None]:
        """`(means, log-variances)` of encoder outputs, float32; `(latents, None)` if it gives no log-variances."""
        encoded = ops.cast(encoded, "float32")
        return tuple(ops.split(encoded, 2, axis=-1)) if self.gaussian else (encoded, None)

    # === Images in, images out ===
    def encode(
        self,
        images: Any,
        tile: int = 512,
        overlap: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """The latents of images: the means of q(z|x), if the encoder gives a distribution.

        Images larger than a tile are computed in tiles, in constant memory.

        Args:
            images: an image `(H, W, channels)` or images `(N, H, W, channels)` of any size, uint8, or float in [0, 1]
                or [-1, 1]. If `factor` does not divide a side, its border pixels are repeated.
            tile: side of a tile in pixels, a multiple of 8 and of `factor`; smaller tiles need less memory, more time.
            overlap: overlap of neighbouring tiles, also a multiple of 8 and of `factor`, at most half of a tile.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, as in `kgen.inputs.ImageInput`.

        Returns:
            float32 array `(N, H / factor, W / factor, latent_channels)`, without N for a single image.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images with other channels or range, or a wrong tile or overlap.
        """
        owner, single = "Autoencoder.encode", np.ndim(images) == 3
        checked = self.image_input.images(images[None] if single else images, owner, value_range=value_range)
        size, multiple = checked.images.shape[1:3], math.lcm(MULTIPLE, self.factor)
        tiles = Tiles(size, tile, overlap, Fraction(1, self.factor), multiple, owner)
        latents = in_tiles(self, self.encoded, {"images": checked}, tiles, np.asarray, _at_once(tiles, 1), verbose)
        return latents[0] if single else latents

    def decode(self, latents: Any, tile: int = 512, overlap: int = 64, verbose: Verbose = "auto") -> Array:
        """The images of latents.

        Args:
            latents: float array `(h, w, latent_channels)` or `(N, h, w, latent_channels)`, from `encode` or elsewhere.
            tile, overlap: as in `encode`, in pixels of the images.
            verbose: as in `encode`.

        Returns:
            uint8 array `(N, factor * h, factor * w, channels)`, without N for a single grid of latents.

        Raises:
            ValueError: for latents of another shape, NaN or infinite latents, or a wrong tile or overlap.
        """
        owner, single = "Autoencoder.decode", np.ndim(latents) == 3
        latents = np.asarray(latents)[None] if single else latents
        latents = checks.floats(owner, "latents", latents, (None, None, None, self.latent_channels))
        for name, value in (("tile", tile), ("overlap", overlap)):
            if value % self.factor:
                raise ValueError(f"{owner}: {name} must be a multiple of {self.factor} pixels; got {value}.")
        tiles = Tiles(latents.shape[1:3], tile // self.factor, overlap // self.factor, self.factor, 1, owner)
        inputs = {"latents": latents}
        drawn = in_tiles(self, self.decoded, inputs, tiles, levels, _at_once(tiles, self.factor), verbose)
        return drawn[0] if single else drawn

    def reconstruct(
        self,
        images: Any,
        tile: int = 512,
        overlap: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Array:
        """`decode(encode(images))`, uint8 of the shape of `images`; arguments as in `encode`."""
        latents = self.encode(images, tile, overlap, verbose, value_range)
        height, width = np.shape(images)[-3:-1]
        return self.decode(latents, tile, overlap, verbose)[..., :height, :width, :]

    def encoded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Latents of a dict of `images`: the graph of `encode`."""
        images = in_whole_multiples(pixels.in_network_range(inputs["images"]), self.factor)
        return self.moments(self.encoder_average(images))[0]

    def decoded(self, inputs: dict[str, Tensor]) -> Tensor:
        """Images, not cut to [0, 1], of a dict of `latents`: the graph of `decode`."""
        return 0.5 * ops.cast(self.average(inputs["latents"]), "float32") + 0.5

    def call(self, images: Tensor) -> Tensor:
        """Reconstructions in [-1, 1] of images in [-1, 1]."""
        return self.average(self.moments(self.encoder_average(images))[0])

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The averaged networks."""
        return [self.encoder_average, self.average]

    def serving_signature(self) -> list:
        """`images`, uint8 `(N, height, width, channels)` of any size."""
        return [keras.InputSpec("uint8", (None, None, None, self.channels), name="images")]

    def serve(self, images: Tensor) -> dict[str, Tensor]:
        """A dict of the `latents` of images, and of their reconstructed `images`, uint8."""
        latents = self.encoded({"images": images})
        height, width = ops.shape(images)[1:3]
        return {"latents": latents, "images": pixels.to_uint8(self.average(latents))[:, :height, :width]}


def _at_once(tiles, factor):
    """How many small images have as many pixels together as two large tiles."""
    height, width = tiles.tile
    return max(1, 2 * 512**2 // (height * width * factor**2))


def _sizes(encoder, decoder):
    """`(channels, latent_channels, factor)` of two networks that fit together."""
    for role, network in (("encoder", encoder), ("decoder", decoder)):
        check_network("Autoencoder", role, network)
        if len(network.input_shape) != 4 or network.input_shape[1:3] != (None, None):
            raise ValueError(
                f"Autoencoder: the {role} must take images or grids of any size, (None, None, None, channels); it "
                f"takes {network.input_shape}."
            )
    channels, latent_channels = encoder.input_shape[-1], decoder.input_shape[-1]
    side = 64
    encoded = tuple(encoder.compute_output_shape((1, side, side, channels)))
    decoded = tuple(decoder.compute_output_shape((1, *encoded[1:3], latent_channels)))
    factor = side // encoded[1] if encoded[1] else 0
    wanted = (1, side // max(factor, 1), side // max(factor, 1))
    if encoded[:3] != wanted or encoded[-1] not in (latent_channels, 2 * latent_channels):
        raise ValueError(
            f"Autoencoder: the decoder takes {latent_channels} channels, so the encoder must give grids with as many, "
            f"or twice as many for a distribution; from images {(side, side, channels)} it makes {encoded[1:]}."
        )
    if decoded != (1, side, side, channels):
        raise ValueError(
            f"Autoencoder: from the latents of images {(side, side, channels)} the decoder must make images of the "
            f"same shape; it makes {decoded[1:]}."
        )
    return channels, latent_channels, factor
