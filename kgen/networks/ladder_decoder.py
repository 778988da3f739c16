"""From latents at several resolutions and a condition to an image, coarse to fine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from kgen.layers import LatentInjection2D, PositionTable2D, ResidualBlock2D, SelfAttention2D
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.ends import condition_vector, generator_inputs, lift, single, to_image, upsample
from kgen.networks.stages import (
    check_attention_resolutions,
    stage_blocks,
    stage_filters,
    stage_grids,
    stage_latents,
)
from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class LadderDecoder(ConfiguredNetwork):
    """A decoder with a hierarchy of latents: the top-down path, which the prior and the posterior share.

    The first level is a vector. Together with the pooled condition it becomes a vector c, which modulates every block
    and is lifted to the coarsest grid, as in `MultiscaleDecoder`. Each further level lies on a grid, coarse to fine.
    `LatentInjection2D` adds it to the features there, with a mean and a scale that the features so far determine: its
    learned prior given all coarser levels (Ladder VAE, Sønderby et al. 2016; NVAE, Vahdat & Kautz 2020; VDVAE, Child
    2021). To the caller, all latents are one standard normal vector, level after level, coarse to fine. A decoder with
    one level is a plain decoder.

    `LadderEncoder` is its posterior. The two work together in `descend`.

    Inputs: `latents` (B, sum(decoder.latent_dims)), or a dict of `"latents"` and `"pooled"` (B, pooled_dim). Output:
    float32 images (B, height, width, channels); `scales` gives them at every scale.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels need `start=7`.
        latent_dim: length of the first level's vector.
        levels: number of levels; each but the first takes one grid, the coarsest first.
        latent_channels: channels of the levels on grids, one number or one for each such level.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        start: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        blocks: residual blocks of each stage, one number or one per stage, coarse to fine.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        num_heads: attention heads; must divide the channels there.
        patch: the finest stage runs at the image's size / patch, and a last pixel shuffle makes the pixels.
        condition_dim: length of c.
        activation: activation of every block and of the MLP that makes c.
        normalization: normalisation of the residual blocks, as in `Modulation`.
        output_activation: `"linear"` or `"tanh"`.
        all_scales: make an image at every stage.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Images are always float32.

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        decoder = LadderDecoder((32, 32, 3), latent_dim=16, levels=3, latent_channels=2)
        decoder.latent_dims  # (16, 32, 128)
        decoder(keras.random.normal((2, 176))).shape  # (2, 32, 32, 3)
        ```
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        levels: int = 2,
        latent_channels: int | Sequence[int] = 4,
        pooled_dim: int | None = None,
        start: int = 4,
        filters: int | Sequence[int] = 256,
        blocks: int | Sequence[int] = 1,
        attention_resolutions: Sequence[int] = (),
        num_heads: int = 4,
        patch: int = 1,
        condition_dim: int = 128,
        activation: str | Callable = "leaky_relu",
        normalization: str | None = "rms",
        output_activation: str = "linear",
        all_scales: bool = False,
        dtype: str | keras.DTypePolicy | None = None,
        **kwargs: Any,
    ) -> None:
        owner = type(self).__name__
        grids = stage_grids(owner, image_shape, start, patch)
        widths = stage_filters(owner, filters, len(grids))
        depths = stage_blocks(owner, blocks, len(grids))
        channels = stage_latents(owner, latent_channels, levels, grids)
        check_attention_resolutions(owner, attention_resolutions, grids)
        if output_activation not in ("linear", "tanh"):
            raise ValueError(f"{owner}: output_activation must be 'linear' or 'tanh'; got {output_activation!r}.")

        # === Layers ===
        def begin(x: Tensor, stage: int) -> Tensor:
            side = min(grids[stage])
            if stage:
                x = upsample(x, widths[stage], f"upsample_{side}", dtype)
            if not stage or side in attention_resolutions:
                x = PositionTable2D(dtype=dtype, name=f"positions_{side}")(x)
            return x

        def finish(x: Tensor, c: Tensor, stage: int) -> Tensor:
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

        def level(index: int, inputs: dict[str, Tensor], x: Tensor, c: Tensor) -> keras.Model:
            """The network of a level, from its features through its stages to the next level, or to the end."""
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
        images = _descend(parts, _known(whole["latents"], latent_dims), whole)
        super().__init__(inputs=single(whole), outputs=images[-1], **kwargs)

        self.keep(locals())
        self.latent_dims = latent_dims
        # Shapes of the features that the posterior of each level but the first takes.
        self.feature_shapes = tuple(part.input["features"].shape[1:] for part in parts[1:])
        self.resolutions = tuple(min(grid) * patch for grid in (grids if all_scales else grids[-1:]))

    def descend(
        self,
        latents_of: Callable[[int, Tensor | None], Tensor],
        condition: Mapping[str, Tensor] | None = None,
        training: bool | None = None,
    ) -> list[Tensor]:
        """Goes down the levels, and asks for each level's latents when its features are known.

        Args:
            latents_of: function from a level's index, 0 for the coarsest, and its features, (B, height, width,
                channels) or None for the first level, to its latents (B, latent_dims[index]).
            condition: dict with `"pooled"`, if the decoder takes it.
            training: whether the decoder is in training.

        Returns:
            List of images, coarse to fine: one per scale with `all_scales`, otherwise one.
        """
        parts = [self.get_layer(f"level_{index + 1}") for index in range(self.levels)]
        return _descend(parts, latents_of, condition or {}, training)

    def scales(self, latents: Tensor, condition: Mapping[str, Tensor] | None = None) -> list[Tensor]:
        """The images of all scales, coarse to fine, from the latents (B, sum(latent_dims)) of all levels."""
        return self.descend(_known(ops.convert_to_tensor(latents), self.latent_dims), condition)


def _descend(
    parts: Sequence[keras.Model],
    latents_of: Callable[[int, Tensor | None], Tensor],
    condition: Mapping[str, Tensor],
    training: bool | None = None,
) -> list[Tensor]:
    known: dict[str, Tensor] = dict(condition)
    images: list[Tensor] = []
    for index, part in enumerate(parts):
        known["latents"] = latents_of(index, known.get("features"))
        results = part({name: known[name] for name in part.input}, training=training)
        images += results.get("images", [])
        known.update(results)
    return images


def split_levels(latents: Tensor, dims: Sequence[int]) -> list[Tensor]:
    """Splits a tensor `(batch, latent_dim)`, such as means, into the levels of latents, of lengths `dims`."""
    ends = itertools.accumulate(dims)
    return [latents[:, end - size : end] for size, end in zip(dims, ends)]


def _known(latents, latent_dims):
    """`latents_of` for latents that are known in advance."""
    levels = split_levels(latents, latent_dims)
    return lambda index, features: levels[index]
