"""From an image, and a condition if there is one, to what the posterior of each level of latents needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import Modulation
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import stage_filters, stage_grids, stage_latents
from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class LadderEncoder(ConfiguredNetwork):
    """The posterior over the latents of a `LadderDecoder`: a bottom-up path, and a head for each level.

    The bottom-up path is a `MultiscaleEncoder`. Its vector is the first level's means and log-variances; the outputs of
    its stages go to the heads of the further levels. A head also sees the decoder's features at its level, which
    contain all coarser latents, so that q(z|x) = q(z_1|x) q(z_2|z_1, x) ... in the order of the prior (Ladder VAE,
    Sønderby et al. 2016; NVAE, Vahdat & Kautz 2020). Its latents are those that `LadderDecoder` takes. They are
    relative to the prior, under which all are standard normal, so KL(q || p) is `kgen.losses.gaussian_kl`. With one
    level this is the `MultiscaleEncoder`.

    Inputs: images (B, height, width, channels) in [-1, 1] alone, or the dict `{"images", "pooled"}` with pooled
    (B, pooled_dim). Output: a list, coarse to fine, of each level's `encoded` for `posterior`; with one level, only the
    vector.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels need `end=7`.
        latent_dim, levels, latent_channels: as in `LadderDecoder`.
        decoder_filters: the decoder's `filters`; `None` if they are the same.
        pooled_dim, end, filters, blocks, attention_resolutions, num_heads, patch, feature_dim, activation,
            normalization, dtype: as in `MultiscaleEncoder`.

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        encoder = LadderEncoder((32, 32, 3), latent_dim=16, levels=3, latent_channels=2)
        [features.shape for features in encoder(keras.random.normal((2, 32, 32, 3)))]
        # [(2, 32), (2, 4, 4, 256), (2, 8, 8, 128)]
        ```
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        levels: int = 2,
        latent_channels: int | Sequence[int] = 4,
        decoder_filters: int | Sequence[int] | None = None,
        pooled_dim: int | None = None,
        end: int = 4,
        filters: int | Sequence[int] = 256,
        blocks: int | Sequence[int] = 1,
        attention_resolutions: Sequence[int] = (),
        num_heads: int = 4,
        patch: int = 1,
        feature_dim: int = 256,
        activation: str | Callable = "leaky_relu",
        normalization: str | None = "rms",
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        latent_dim = integer(owner, "latent_dim", latent_dim)
        grids = stage_grids(owner, image_shape, end, patch)
        channels = stage_latents(owner, latent_channels, levels, grids)
        given = filters if decoder_filters is None else decoder_filters
        decoder_widths = stage_filters(owner, given, len(grids))

        # === Functional Model ===
        path = MultiscaleEncoder(
            image_shape,
            2 * latent_dim,
            pooled_dim,
            end,
            filters,
            blocks,
            attention_resolutions,
            num_heads,
            patch,
            feature_dim,
            activation,
            normalization,
            dtype=dtype,
        )
        super().__init__(inputs=path.input, outputs=[path.output, *path.stage_ends[: levels - 1]], **kwargs)

        # === Layers ===
        def head(encoded: Tensor, width: int, latents: int, name: str) -> keras.Model:
            inputs = {
                "encoded": keras.Input(encoded.shape[1:], dtype=encoded.dtype, name="encoded"),
                "features": keras.Input((*encoded.shape[1:-1], width), dtype=encoded.dtype, name="features"),
            }
            both = [Modulation("rms", dtype=dtype, name=f"normalize_{of}")(x) for of, x in inputs.items()]
            x = layers.Concatenate(dtype=dtype, name="join")(both)
            x = layers.Dense(width, activation=activation, dtype=dtype, name="dense")(x)
            moments = []
            for moment in ("mean", "log_variance"):
                y = layers.Dense(latents, kernel_initializer="zeros", dtype="float32", name=moment)(x)
                moments.append(layers.Flatten(data_format="channels_last", dtype="float32", name=f"{moment}s")(y))
            return keras.Model(inputs, layers.Concatenate(dtype="float32", name="moments")(moments), name=name)

        self.heads = [
            head(encoded, width, latents, f"head_{index + 2}")
            for index, (encoded, width, latents) in enumerate(zip(path.stage_ends, decoder_widths, channels))
        ]

        self.keep(locals())
        self.latent_dims = (latent_dim, *(h * w * latents for (h, w), latents in zip(grids, channels)))
        # Shapes of the decoder's features that the heads take.
        self.feature_shapes = tuple(head.input["features"].shape[1:] for head in self.heads)

    def posterior(
        self, index: int, encoded: Tensor, features: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        """Means, then log-variances, of q(eps | x, coarser latents) of one level.

        Args:
            index: index of the level; 0 is the coarsest.
            encoded: the encoder's output for that level.
            features: the decoder's features, as in `LadderDecoder.descend`; None for the first level.
            training: whether the networks are in training.

        Returns:
            Tensor (B, 2 * latent_dims[index]), float32.
        """
        if index == 0:
            return encoded
        return self.heads[index - 1]({"encoded": encoded, "features": features}, training=training)
