"""From latents and a condition to an image, coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras

from kgen.checks import integer
from kgen.layers import PositionTable2D, ResidualBlock2D, TransformerBlock2D
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.ends import condition_vector, generator_inputs, lift, single, to_image, upsample
from kgen.networks.stages import check_attention_resolutions, stage_blocks, stage_filters, stage_grids
from kgen.serializable import serializable
from kgen.types import ImageShape, Tensor


@serializable
class MultiscaleDecoder(ConfiguredNetwork):
    """Generator or decoder: from latents, and a condition if there is one, to images, doubling from a small grid.

    A small MLP turns latents and pooled condition into one vector c. A dense layer lifts c to the coarsest grid, where
    a learned position table is added. Each stage runs its blocks and doubles the grid by 1x1 convolution and pixel
    shuffle. Blocks are `ResidualBlock2D` modulated by c; at `attention_resolutions` they are `TransformerBlock2D`,
    which also read the tokens.

    Inputs: `latents` (B, latent_dim) alone without `pooled_dim` and `token_dim`; otherwise a dict of `"latents"`, with
    `"pooled"` (B, pooled_dim), or `"tokens"` (B, T, token_dim) and `"mask"` (B, T; 1 at real tokens), or all of them.
    Output: float32 images (B, height, width, channels), meant for [-1, 1]; with `all_scales` a list of images, coarse
    to fine, whose shorter sides are `decoder.resolutions`.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels need `start=7`.
        latent_dim: length of a latent vector.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        token_dim: length of a token's features, or `None` without tokens. Tokens need an attention resolution.
        start: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        blocks: blocks of each stage, one number or one per stage, coarse to fine.
        attention_resolutions: shorter sides of the grids with transformer blocks.
        num_heads: attention heads; must divide the channels there.
        patch: the finest stage runs at the image's size / patch, and a last pixel shuffle makes the pixels.
        condition_dim: length of c.
        activation: activation of every block and of the MLP.
        normalization: normalisation of the residual blocks, as in `Modulation`.
        output_activation: `"linear"` or `"tanh"`.
        all_scales: also give an image at every coarser stage.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Images are always float32.

    Raises:
        ValueError: if an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        decoder = MultiscaleDecoder((64, 64, 3), latent_dim=64)
        decoder(keras.random.normal((2, 64))).shape  # (2, 64, 64, 3)

        # Learns small images from text quickly: attention at 8x8, convolutions at 16x16, pixels shuffled to 32x32.
        quick = MultiscaleDecoder(
            (32, 32, 3), latent_dim=8, token_dim=384, start=8, filters=(128, 64), blocks=(3, 2), patch=2
        )
        ```
    """

    def __init__(
        self,
        image_shape: ImageShape,
        latent_dim: int,
        pooled_dim: int | None = None,
        token_dim: int | None = None,
        start: int = 4,
        filters: int | Sequence[int] = 256,
        blocks: int | Sequence[int] = 1,
        attention_resolutions: Sequence[int] = (8,),
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
        check_attention_resolutions(owner, attention_resolutions, grids)
        if output_activation not in ("linear", "tanh"):
            raise ValueError(f"{owner}: output_activation must be 'linear' or 'tanh'; got {output_activation!r}.")
        attended = [depth for grid, depth in zip(grids, depths) if min(grid) in attention_resolutions]
        if token_dim is not None and not sum(attended):
            raise ValueError(
                f"{owner}: token_dim={token_dim} needs a block at one of attention_resolutions, where tokens are read."
            )

        # === Layers ===
        def block(x: Tensor, c: Tensor, tokens: dict[str, Tensor], attention: bool, name: str) -> Tensor:
            if attention:
                transformer = TransformerBlock2D(num_heads, activation=activation, dtype=dtype, name=name)
                return transformer(x, condition=c, **tokens)
            residual = ResidualBlock2D(
                x.shape[-1], activation=activation, normalization=normalization, dtype=dtype, name=name
            )
            return residual(x, c)

        # === Functional Model ===
        inputs = generator_inputs(owner, latent_dim, pooled_dim)
        tokens = {}
        if token_dim is not None:
            tokens["tokens"] = keras.Input((None, integer(owner, "token_dim", token_dim)), name="tokens")
            tokens["mask"] = keras.Input((None,), dtype="bool", name="mask")
        inputs.update(tokens)

        c = condition_vector(inputs, condition_dim, activation, dtype)
        x, images = lift(c, grids[0], widths[0], dtype), []
        for stage, (grid, width, depth) in enumerate(zip(grids, widths, depths)):
            side, last = min(grid), stage == len(grids) - 1
            if stage:
                x = upsample(x, width, f"upsample_{side}", dtype)
            if not stage or side in attention_resolutions:
                x = PositionTable2D(dtype=dtype, name=f"positions_{side}")(x)
            for i in range(depth):
                x = block(x, c, tokens, side in attention_resolutions, name=f"block_{side}_{i + 1}")
            if last or all_scales:
                ends = (patch, activation, normalization, output_activation, dtype)
                images.append(to_image(x, image_shape[-1], f"image_{side * patch}", *ends))
        super().__init__(inputs=single(inputs), outputs=images if all_scales else images[0], **kwargs)

        self.keep(locals())
        self.resolutions = tuple(min(grid) * patch for grid in (grids if all_scales else grids[-1:]))
