"""From latents and a condition to an image, coarse to fine."""

import keras

from kgen.layers import PositionTable2D, ResidualBlock2D, TransformerBlock2D
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.multiscale_ends import condition_vector, lift, to_image, upsample
from kgen.networks.stages import check_attention_resolutions, stage_blocks, stage_filters, stage_grids


@keras.saving.register_keras_serializable(package="kgen")
class MultiscaleDecoder(ConfiguredNetwork):
    """Generator or decoder: latents, with a condition or without, to images, doubling from a small grid.

    Latents and pooled condition pass through a small MLP to one vector c. A dense layer lifts c to the coarsest grid,
    where a learned position table is added. Each stage runs its blocks and doubles the grid by 1x1 convolution and
    pixel shuffle. Blocks are `ResidualBlock2D` modulated by c; at `attention_resolutions` they are
    `TransformerBlock2D`, which also read the tokens.

    Inputs: `latents` (B, latent_dim) alone where there is neither `pooled_dim` nor `token_dim`; otherwise a dict of
    `"latents"`, with `"pooled"` (B, pooled_dim), or `"tokens"` (B, T, token_dim) and `"mask"` (B, T; 1 at real
    tokens), or all of them. Output: float32 images (B, height, width, channels), meant for [-1, 1]; with
    `all_scales` a list of images, coarse to fine, of the shorter sides `decoder.resolutions`.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels go with `start=7`.
        latent_dim: length of a latent vector.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        token_dim: length of a token's features, or `None` without tokens. Tokens need an attention resolution.
        start: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each stage, not below 32), or of each stage, coarse to fine.
        blocks: blocks of each stage, one number or one a stage, coarse to fine.
        attention_resolutions: shorter sides of the grids where blocks are transformer blocks.
        num_heads: attention heads; must divide the channels there.
        patch: the finest stage runs at 1 / patch of the image's size, and a last pixel shuffle makes the pixels.
        condition_dim: length of c.
        activation: of every block and of the MLP.
        normalization: of the residual blocks, as in `Modulation`.
        output_activation: `"linear"` or `"tanh"`.
        all_scales: give an image at every stage.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Images are float32 under any.

    Raises:
        ValueError: an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        decoder = MultiscaleDecoder((64, 64, 3), latent_dim=64)
        decoder(keras.random.normal((2, 64))).shape  # (2, 64, 64, 3)

        # The quick learner of small pictures with text: attention at 8x8, convolutions at 16, pixels shuffled to 32.
        quick = MultiscaleDecoder(
            (32, 32, 3), latent_dim=8, token_dim=384, start=8, filters=(128, 64), blocks=(3, 2), patch=2
        )
        ```
    """

    def __init__(
        self,
        image_shape,
        latent_dim,
        pooled_dim=None,
        token_dim=None,
        start=4,
        filters=256,
        blocks=1,
        attention_resolutions=(8,),
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
        check_attention_resolutions(owner, attention_resolutions, grids)
        for name, size in (("latent_dim", latent_dim), ("pooled_dim", pooled_dim), ("token_dim", token_dim)):
            if size is not None and size < 1 or size is None and name == "latent_dim":
                raise ValueError(f"{owner}: {name} must be at least 1; got {size}.")
        if output_activation not in ("linear", "tanh"):
            raise ValueError(f"{owner}: output_activation must be 'linear' or 'tanh'; got {output_activation!r}.")
        attended = [depth for grid, depth in zip(grids, depths) if min(grid) in attention_resolutions]
        if token_dim is not None and not sum(attended):
            raise ValueError(
                f"{owner}: token_dim={token_dim} needs a block at one of attention_resolutions, where tokens are read."
            )

        # === Layers ===
        def block(x, c, tokens, attention, name):
            if attention:
                transformer = TransformerBlock2D(num_heads, activation=activation, dtype=dtype, name=name)
                return transformer(x, condition=c, **tokens)
            residual = ResidualBlock2D(
                x.shape[-1], activation=activation, normalization=normalization, dtype=dtype, name=name
            )
            return residual(x, c)

        # === Functional Model ===
        inputs = {"latents": keras.Input((latent_dim,), name="latents")}
        if pooled_dim is not None:
            inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")
        tokens = {}
        if token_dim is not None:
            tokens["tokens"] = keras.Input((None, token_dim), name="tokens")
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
        super().__init__(
            inputs=inputs if len(inputs) > 1 else inputs["latents"],
            outputs=images if all_scales else images[0],
            **kwargs,
        )

        self.keep(
            dtype,
            image_shape=image_shape,
            latent_dim=latent_dim,
            pooled_dim=pooled_dim,
            token_dim=token_dim,
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
        self.resolutions = tuple(min(grid) * patch for grid in (grids if all_scales else grids[-1:]))
