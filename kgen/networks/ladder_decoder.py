"""From latents at several resolutions and a condition to an image, coarse to fine."""

import keras
from keras import layers, ops

from kgen.layers import LatentInjection2D, PositionTable2D, ResidualBlock2D, SelfAttention2D
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.generator_ends import generator_inputs
from kgen.networks.multiscale_ends import condition_vector, lift, to_image, upsample
from kgen.networks.stages import (
    check_attention_resolutions,
    stage_blocks,
    stage_filters,
    stage_grids,
    stage_latents,
)


@keras.saving.register_keras_serializable(package="kgen")
class LadderDecoder(ConfiguredNetwork):
    """A decoder with a hierarchy of latents: the top-down path, which the prior and the posterior share.

    The first level is a vector: with the pooled condition it becomes a vector c, which modulates every block, and the
    coarsest grid, as in `MultiscaleDecoder`. Each further level lies on a grid, coarse to fine, and is added to the
    features there by `LatentInjection2D`, in the place and to the extent that the features so far say: that is its
    learned prior given all coarser levels (Ladder VAE, Sønderby et al. 2016; NVAE, Vahdat & Kautz 2020; VDVAE, Child
    2021). To who calls it, all latents are one standard normal vector, level after level, coarse to fine; a decoder of
    one level is a plain decoder.

    `LadderEncoder` is the posterior that belongs to it, `descend` the way down on which the two meet.

    Inputs: `latents` (B, sum(decoder.latent_dims)), or a dict of `"latents"` and `"pooled"` (B, pooled_dim). Output:
    float32 images (B, height, width, channels); `scales` gives them at every scale.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels go with `start=7`.
        latent_dim: length of the first level's vector.
        levels: number of levels; each but the first takes one grid, the coarsest first.
        latent_channels: of a level on a grid, one number or one for each such level.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        start: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        blocks: residual blocks of each stage, one number or one a stage, coarse to fine.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        num_heads: attention heads; must divide the channels there.
        patch: the finest stage runs at 1 / patch of the image's size, and a last pixel shuffle makes the pixels.
        condition_dim: length of c.
        activation: of every block and of the MLP that makes c.
        normalization: of the residual blocks, as in `Modulation`.
        output_activation: `"linear"` or `"tanh"`.
        all_scales: make an image at every stage.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Images are float32 under any.

    Raises:
        ValueError: an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        decoder = LadderDecoder((32, 32, 3), latent_dim=16, levels=3, latent_channels=2)
        decoder.latent_dims  # (16, 32, 128)
        decoder(keras.random.normal((2, 176))).shape  # (2, 32, 32, 3)
        ```
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        levels=2,
        latent_channels=4,
        pooled_dim=None,
        start=4,
        filters=256,
        blocks=1,
        attention_resolutions=(),
        num_heads=4,
        patch=1,
        condition_dim=128,
        activation="leaky_relu",
        normalization="rms",
        output_activation="linear",
        all_scales=False,
        dtype=None,
        **kwargs,
    ):
        owner = type(self).__name__
        grids = stage_grids(owner, image_shape, start, patch)
        widths = stage_filters(owner, filters, len(grids))
        depths = stage_blocks(owner, blocks, len(grids))
        channels = stage_latents(owner, latent_channels, levels, grids)
        check_attention_resolutions(owner, attention_resolutions, grids)
        if output_activation not in ("linear", "tanh"):
            raise ValueError(f"{owner}: output_activation must be 'linear' or 'tanh'; got {output_activation!r}.")

        # === Layers ===
        def begin(x, stage):
            side = min(grids[stage])
            if stage:
                x = upsample(x, widths[stage], f"upsample_{side}", dtype)
            if not stage or side in attention_resolutions:
                x = PositionTable2D(dtype=dtype, name=f"positions_{side}")(x)
            return x

        def finish(x, c, stage):
            side = min(grids[stage])
            for i in range(depths[stage]):
                block = ResidualBlock2D(
                    widths[stage],
                    activation=activation,
                    normalization=normalization,
                    dtype=dtype,
                    name=f"block_{side}_{i + 1}",
                )
                x = block(x, c)
            if side in attention_resolutions:
                x = SelfAttention2D(num_heads, "ones", dtype=dtype, name=f"attention_{side}")(x)
            return x

        def level(index, inputs, x, c):
            """The network of a level, from its features through its stages to the next one's, or to the end."""
            last, images = index == levels - 1, []
            for stage in range(max(index - 1, 0), len(grids) if last else index):
                x = finish(x, c, stage)
                if all_scales or stage == len(grids) - 1:
                    ends = (patch, activation, normalization, output_activation, dtype)
                    images.append(to_image(x, image_shape[-1], f"image_{min(grids[stage]) * patch}", *ends))
                if stage < len(grids) - 1:
                    x = begin(x, stage + 1)
            results = {} if last else {"context": c, "features": x}
            return keras.Model(inputs, {**results, "images": images} if images else results, name=f"level_{index + 1}")

        # === Levels ===
        inputs = generator_inputs(owner, latent_dim, pooled_dim)
        c = condition_vector(inputs, condition_dim, activation, dtype)
        parts = [level(0, inputs, begin(lift(c, grids[0], widths[0], dtype), 0), c)]
        for grid, latents in zip(grids, channels):
            above = parts[-1].output
            inputs = {
                name: keras.Input(above[name].shape[1:], dtype=above[name].dtype, name=name)
                for name in ("context", "features")
            }
            inputs["latents"] = keras.Input((grid[0] * grid[1] * latents,), name="latents")
            eps = layers.Reshape((*grid, latents), dtype=dtype, name="latents_to_grid")(inputs["latents"])
            x = LatentInjection2D(dtype=dtype, name="injection")(inputs["features"], eps)
            parts.append(level(len(parts), inputs, x, inputs["context"]))

        # === Functional Model ===
        latent_dims = tuple(part.input["latents"].shape[-1] for part in parts)
        whole = generator_inputs(owner, sum(latent_dims), pooled_dim)
        images = _descend(parts, _slices(whole["latents"], latent_dims), whole)
        super().__init__(
            inputs=whole if len(whole) > 1 else whole["latents"],
            outputs=images[-1],
            **kwargs,
        )

        self.keep(
            dtype,
            image_shape=image_shape,
            latent_dim=latent_dim,
            levels=levels,
            latent_channels=latent_channels,
            pooled_dim=pooled_dim,
            start=start,
            filters=filters,
            blocks=blocks,
            attention_resolutions=attention_resolutions,
            num_heads=num_heads,
            patch=patch,
            condition_dim=condition_dim,
            activation=activation,
            normalization=normalization,
            output_activation=output_activation,
            all_scales=all_scales,
        )
        self.latent_dims = latent_dims
        # What the posterior of each level but the first sees of this network.
        self.feature_shapes = tuple(part.input["features"].shape[1:] for part in parts[1:])
        self.resolutions = tuple(min(grid) * patch for grid in (grids if all_scales else grids[-1:]))

    def descend(self, latents_of, condition=None, training=None):
        """The way down, on which each level's latents are chosen when it is their turn.

        Args:
            latents_of: function from the index of a level, 0 the coarsest, and the features there,
                (B, height, width, channels) or None for the first, to its latents (B, latent_dims[index]).
            condition: dict of `"pooled"`, where the decoder has it.
            training: whether it is for training.

        Returns:
            List of images, coarse to fine: at all scales, or the one that there is.
        """
        parts = [self.get_layer(f"level_{index + 1}") for index in range(self.levels)]
        return _descend(parts, latents_of, condition or {}, training)

    def scales(self, latents, condition=None):
        """The images of all scales, coarse to fine, from latents as the decoder takes them."""
        return self.descend(_slices(ops.convert_to_tensor(latents), self.latent_dims), condition)


def _descend(parts, latents_of, condition, training=None):
    known, images = dict(condition), []
    for index, part in enumerate(parts):
        known["latents"] = latents_of(index, known.get("features"))
        results = part({name: known[name] for name in part.input}, training=training)
        images += results.get("images", [])
        known.update(results)
    return images


def _slices(latents, latent_dims):
    """`latents_of` for latents that are there already."""

    def latents_of(index, features):
        first = sum(latent_dims[:index])
        return latents[:, first : first + latent_dims[index]]

    return latents_of
