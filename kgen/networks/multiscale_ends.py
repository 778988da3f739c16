"""What decoders on several grids share: latents to a vector, to a grid, to finer grids, to an image."""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import layers

from kgen.layers import Modulation, PixelShuffle
from kgen.types import Tensor


def condition_vector(
    inputs: dict[str, Tensor],
    units: int,
    activation: str | Callable = "leaky_relu",
    dtype: str | keras.DTypePolicy | None = None,
) -> Tensor:
    """Latents, and the pooled condition if there is one, to one vector by a small MLP.

    Args:
        inputs: dict of the symbolic tensors `"latents"` `(batch, n)` and, with a condition, `"pooled"` `(batch, m)`.
        units: length of the vector.
        activation: of the MLP.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, units)`.
    """
    c = inputs["latents"]
    if "pooled" in inputs:
        c = layers.Concatenate(dtype=dtype, name="condition_join")([c, inputs["pooled"]])
    c = layers.Dense(units, activation=activation, dtype=dtype, name="condition_1")(c)
    return layers.Dense(units, activation=activation, dtype=dtype, name="condition_2")(c)


def lift(c: Tensor, grid: tuple[int, int], width: int, dtype: str | keras.DTypePolicy | None = None) -> Tensor:
    """A vector to the coarsest grid, by a dense layer.

    Args:
        c: symbolic tensor `(batch, n)`.
        grid: `(height, width)`.
        width: channels.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, *grid, width)`.
    """
    x = layers.Dense(grid[0] * grid[1] * width, dtype=dtype, name="lift")(c)
    return layers.Reshape((*grid, width), dtype=dtype, name="lift_to_grid")(x)


def upsample(x: Tensor, width: int, name: str, dtype: str | keras.DTypePolicy | None = None) -> Tensor:
    """A grid to one twice as fine, by a 1x1 convolution and a pixel shuffle.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        width: channels of the finer grid.
        name: prefix of the layers' names.
        dtype: dtype or policy of all layers.

    Returns:
        A symbolic tensor `(batch, 2 H, 2 W, width)`.
    """
    x = layers.Dense(4 * width, dtype=dtype, name=f"{name}_expand")(x)
    return PixelShuffle(2, dtype=dtype, name=f"{name}_shuffle")(x)


def to_image(
    x: Tensor,
    channels: int,
    name: str,
    patch: int = 1,
    activation: str | Callable = "leaky_relu",
    normalization: str | None = "rms",
    output: str = "linear",
    dtype: str | keras.DTypePolicy | None = None,
) -> Tensor:
    """Features to a float32 image: normalisation, a convolution, and a pixel shuffle if a position is a patch.

    Args:
        x: symbolic tensor `(batch, H, W, C)`.
        channels: of the image.
        name: name of the last layer and prefix of the others.
        patch: each position of x becomes `patch` x `patch` pixels.
        activation: before the convolution.
        normalization: as in `Modulation`.
        output: activation of the image.
        dtype: dtype or policy of all layers but the last.

    Returns:
        A symbolic tensor `(batch, patch * H, patch * W, channels)`.
    """
    x = Modulation(normalization, dtype=dtype, name=f"{name}_normalize")(x)
    x = layers.Activation(activation, dtype=dtype, name=f"{name}_activation")(x)
    x = layers.Conv2D(
        channels * patch**2, 3, padding="same", data_format="channels_last", dtype=dtype, name=f"{name}_convolution"
    )(x)
    if patch > 1:
        x = PixelShuffle(patch, dtype=dtype, name=f"{name}_shuffle")(x)
    # In float32 under mixed precision too: these are pixels, or what a likelihood reads.
    return layers.Activation(output, dtype="float32", name=name)(x)
