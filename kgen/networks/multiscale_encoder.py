"""From an image, with a condition or without, to a vector, fine to coarse."""

import keras
from keras import layers

from kgen.layers import ResidualBlock2D, SelfAttention2D, SpectralNormalization
from kgen.networks.configured_network import ConfiguredNetwork
from kgen.networks.stages import check_attention_resolutions, stage_blocks, stage_filters, stage_grids


@keras.saving.register_keras_serializable(package="kgen")
class MultiscaleEncoder(ConfiguredNetwork):
    """Encoder or discriminator: images to vectors, halving down to a small grid; the mirror of `MultiscaleDecoder`.

    Each stage runs its residual blocks (and self-attention at `attention_resolutions`) and halves the grid by a 2x2
    convolution of stride 2. The last grid is flattened, so that places are kept apart, and a dense layer makes the
    features h of it. Then

        y = W (h * (1 + V pooled)) + b

    With one output this is the projection discriminator of Miyato & Koyama (2018) in bilinear form; with more it is
    FiLM on the features, as for the posterior of a conditional VAE. Without `pooled_dim`, y = W h + b. There is no
    batch normalisation: an image's output does not depend on its batch, and gradient penalties are sound.

    Inputs: images (B, height, width, channels) in [-1, 1] alone, or the dict `{"images", "pooled"}` with pooled
    (B, pooled_dim). Output: (B, output_dim), float32, linear.

    Args:
        image_shape: (height, width, channels). Both sides are a coarsest side times a power of two times `patch`;
            28 pixels go with `end=7`.
        output_dim: length of the output: 1 for a discriminator, twice the latents for a Gaussian posterior.
        pooled_dim: length of a pooled condition vector, or `None` without one.
        end: shorter side of the coarsest grid.
        filters: channels of the coarsest stage (halved at each finer stage, not below 32), or of each stage, coarse to
            fine as in the decoder.
        blocks: residual blocks of each stage, one number or one a stage, coarse to fine.
        attention_resolutions: shorter sides of the grids that end in a `SelfAttention2D`.
        num_heads: attention heads; must divide the channels there.
        patch: the first convolution has this stride; the finest stage runs at 1 / patch of the image's size.
        feature_dim: length of h.
        activation: of every block and of h.
        normalization: of the residual blocks, as in `Modulation`.
        spectral_normalization: keep the spectral norm of every convolution and dense layer at 1.
        dtype: dtype or policy of all layers; `None` is Keras' global one. Outputs are float32 under any.

    Raises:
        ValueError: an argument does not fit the image shape or the other arguments.

    Example:
        ```python
        discriminator = MultiscaleEncoder((64, 64, 3), output_dim=1)
        discriminator(keras.random.normal((2, 64, 64, 3))).shape  # (2, 1)
        ```
    """

    def __init__(
        self,
        image_shape,
        output_dim,
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
        spectral_normalization=False,
        dtype=None,
        **kwargs,
    ):
        owner = type(self).__name__
        grids = stage_grids(owner, image_shape, end, patch)
        widths = stage_filters(owner, filters, len(grids))
        depths = stage_blocks(owner, blocks, len(grids))
        check_attention_resolutions(owner, attention_resolutions, grids)
        for name, size in (("output_dim", output_dim), ("pooled_dim", pooled_dim), ("feature_dim", feature_dim)):
            if size is not None and size < 1 or size is None and name != "pooled_dim":
                raise ValueError(f"{owner}: {name} must be at least 1; got {size}.")

        # === Layers ===
        def normalized(layer):
            return SpectralNormalization(layer, dtype=layer.dtype_policy) if spectral_normalization else layer

        def dense(x, units, name, dtype=dtype):
            return normalized(layers.Dense(units, dtype=dtype, name=name))(x)

        def convolution(x, width, kernel_size, strides, name):
            layer = layers.Conv2D(
                width,
                kernel_size,
                strides,
                padding="same",
                data_format="channels_last",
                dtype=dtype,
                name=name,
            )
            return normalized(layer)(x)

        def block(x, name):
            residual = ResidualBlock2D(
                x.shape[-1],
                activation=activation,
                normalization=normalization,
                spectral_normalization=spectral_normalization,
                dtype=dtype,
                name=name,
            )
            return residual(x)

        def attention(x, name):
            layer = SelfAttention2D(
                num_heads,
                spectral_normalization=spectral_normalization,
                twice_differentiable=True,
                dtype=dtype,
                name=name,
            )
            return layer(x)

        # === Functional Model ===
        inputs = {"images": keras.Input(tuple(image_shape), name="images")}
        if pooled_dim is not None:
            inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")

        x, stage_ends = convolution(inputs["images"], widths[-1], patch + 2, patch, name="stem"), []
        for stage in reversed(range(len(grids))):
            side = min(grids[stage])
            for i in range(depths[stage]):
                x = block(x, name=f"block_{side}_{i + 1}")
            if side in attention_resolutions:
                x = attention(x, name=f"attention_{side}")
            stage_ends.insert(0, x)
            if stage:
                x = convolution(x, widths[stage - 1], 2, 2, name=f"downsample_{side}")
        x = layers.Activation(activation, dtype=dtype, name="activation")(x)
        x = layers.Flatten(data_format="channels_last", dtype=dtype, name="flatten")(x)
        h = layers.Activation(activation, dtype=dtype, name="features")(dense(x, feature_dim, name="features_dense"))
        if pooled_dim is not None:
            gain = dense(inputs["pooled"], feature_dim, name="condition")
            h = layers.Add(dtype=dtype, name="conditioned")([h, layers.Multiply(dtype=dtype, name="gained")([h, gain])])
        outputs = dense(h, output_dim, name="output", dtype="float32")
        super().__init__(
            inputs=inputs if len(inputs) > 1 else inputs["images"],
            outputs=outputs,
            **kwargs,
        )

        # What each stage makes of the image, symbolic, coarse to fine: for networks that look in.
        self.stage_ends = tuple(stage_ends)
        self.keep(
            dtype,
            image_shape=image_shape,
            output_dim=output_dim,
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
            spectral_normalization=spectral_normalization,
        )
