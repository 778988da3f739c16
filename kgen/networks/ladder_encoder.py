"""From an image, with a condition or without, to what the posterior of each level of latents needs of it."""

import keras
from keras import layers

from kgen.layers import Modulation
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import stage_filters, stage_grids, stage_latents


@keras.saving.register_keras_serializable(package="kgen")
class LadderEncoder(ConfiguredNetwork):
    """The posterior over the latents of a `LadderDecoder`: a bottom-up path, and a head for each level.

    The bottom-up path is a `MultiscaleEncoder`: its vector is the first level's means and log-variances, and what its
    stages make of the image goes to the heads of the further levels. A head sees that and the decoder's features at
    its level, which hold all coarser latents, so that q(z|x) = q(z_1|x) q(z_2|z_1, x) ... in the order of the prior
    (Ladder VAE, Sønderby et al. 2016; NVAE, Vahdat & Kautz 2020). It speaks of the latents as `LadderDecoder` takes
    them, relative to the prior, where all are standard normal: KL(q || p) is `kgen.losses.gaussian_kl`. With one level
    this is the `MultiscaleEncoder`.

    Inputs: images (B, height, width, channels) in [-1, 1] alone, or the dict `{"images", "pooled"}` with pooled
    (B, pooled_dim). Output: a list, coarse to fine, of what `posterior` wants for each level; of one level the vector.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels go with `end=7`.
        latent_dim, levels, latent_channels: as of the `LadderDecoder`.
        decoder_filters: the decoder's `filters`; `None` where they are the same.
        pooled_dim, end, filters, blocks, attention_resolutions, num_heads, patch, feature_dim, activation,
            normalization, dtype: as of `MultiscaleEncoder`.

    Raises:
        ValueError: an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        encoder = LadderEncoder((32, 32, 3), latent_dim=16, levels=3, latent_channels=2)
        [features.shape for features in encoder(keras.random.normal((2, 32, 32, 3)))]
        # [(2, 32), (2, 4, 4, 256), (2, 8, 8, 128)]
        ```
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        levels=2,
        latent_channels=4,
        decoder_filters=None,
        pooled_dim=None,
        end=4,
        filters=256,
        blocks=1,
        attention_resolutions=(),
        num_heads=4,
        patch=1,
        feature_dim=256,
        activation="leaky_relu",
        normalization="rms",
        dtype=None,
        **kwargs,
    ):
        owner = type(self).__name__
        if not isinstance(latent_dim, int) or latent_dim < 1:
            raise ValueError(f"{owner}: latent_dim must be an integer of at least 1; got {latent_dim!r}.")
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
        def normalized(x, name):
            return Modulation("rms", dtype=dtype, name=name)(x)

        def head(encoded, width, latents, name):
            inputs = {
                "encoded": keras.Input(encoded.shape[1:], dtype=encoded.dtype, name="encoded"),
                "features": keras.Input((*encoded.shape[1:-1], width), dtype=encoded.dtype, name="features"),
            }
            both = [normalized(x, f"normalize_{of}") for of, x in inputs.items()]
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

        self.keep(
            dtype,
            image_shape=image_shape,
            latent_dim=latent_dim,
            levels=levels,
            latent_channels=latent_channels,
            decoder_filters=decoder_filters,
            pooled_dim=pooled_dim,
            end=end,
            filters=filters,
            blocks=blocks,
            attention_resolutions=attention_resolutions,
            num_heads=num_heads,
            patch=patch,
            feature_dim=feature_dim,
            activation=activation,
            normalization=normalization,
        )
        self.latent_dims = (latent_dim, *(h * w * latents for (h, w), latents in zip(grids, channels)))
        # What the heads want to see of the decoder.
        self.feature_shapes = tuple(head.input["features"].shape[1:] for head in self.heads)

    def posterior(self, index, encoded, features=None, training=None):
        """Means, then log-variances, of q(eps | x, coarser latents) of one level.

        Args:
            index: of the level, 0 the coarsest.
            encoded: what the encoder gave for that level.
            features: the decoder's, as `LadderDecoder.descend` has them; None for the first level.
            training: whether it is for training.

        Returns:
            Tensor (B, 2 * latent_dims[index]), float32.
        """
        if index == 0:
            return encoded
        return self.heads[index - 1]({"encoded": encoded, "features": features}, training=training)
