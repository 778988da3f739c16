"""From feature maps back to an image of any size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
from keras import layers

from kgen.checks import integer
from kgen.networks.own_scope import in_own_scope
from kgen.serializable import python_numbers


@in_own_scope
@python_numbers
def style_decoder(
    channels: int | Sequence[int],
    factor: int | Sequence[int],
    filters: int = 16,
    max_filters: int = 128,
    output_channels: int = 3,
    dtype: str | keras.DTypePolicy | None = None,
    name: str = "style_decoder",
) -> keras.Model:
    """The mirror of a feature network: convolutions, and enlargement by nearest neighbours.

    There is no normalisation, because it would remove a style's statistics [Huang & Belongie 2017, section 7.1]. The
    network is fully convolutional: it turns features on a grid into an image `factor` times as large. With several maps
    it starts from the coarsest and adds each finer one at its own grid, so that edges need not be guessed.

    Args:
        channels: channels of the features; a list for several maps, fine to coarse.
        factor: how many times smaller than the image their grid is, a power of two; a list for several maps.
        filters: channels of the finest convolutions, doubled at each coarser grid, up to `max_filters`.
        max_filters: largest number of channels.
        output_channels: channels of the image.
        dtype: dtype or policy of the layers; None is Keras' global one. The image is always float32.
        name: name of the network.

    Returns:
        A `keras.Model` from `(batch, h, w, channels)`, or a list of such maps, fine to coarse, to
        `(batch, h * factor, w * factor, output_channels)`, linear: an image in [-1, 1] after training.

    Raises:
        ValueError: if a `factor` is not a power of two, or the two lists do not describe maps, fine to coarse.

    Example:

    ```python
    decoder = kgen.networks.style_decoder(channels=240, factor=8)
    decoder(keras.random.normal((1, 16, 24, 240))).shape      # (1, 128, 192, 3)
    kgen.networks.style_decoder(channels=[96, 144], factor=[2, 4])      # reads maps at 1/2 and at 1/4 of the image
    ```
    """
    channels, factors = (list(each) if isinstance(each, Iterable) else [each] for each in (channels, factor))
    for each in factors:
        if integer("style_decoder", "factor", each) & (each - 1):
            raise ValueError(f"style_decoder: factor must be a power of two, such as 8; got {each}.")
    if len(channels) != len(factors) or not factors or factors != sorted(factors):
        raise ValueError(
            "style_decoder: channels and factor must be two lists of the same length, fine to coarse; got "
            f"{channels}, {factors}."
        )
    options = {"padding": "same", "data_format": "channels_last", "dtype": dtype}
    inputs = [keras.Input((None, None, each), name=f"features_{i}") for i, each in enumerate(channels)]
    x, current = None, factors[-1]
    while True:
        maps = [each for each, own in zip(inputs, factors) if own == current] + ([] if x is None else [x])
        x = maps[0] if len(maps) == 1 else layers.Concatenate(dtype=dtype, name=f"join_{current}")(maps)
        width = min(filters * current, max_filters)
        for half in ("a", "b"):
            x = layers.Conv2D(width, 3, activation="relu", name=f"convolution_{current}{half}", **options)(x)
        if current == 1:
            break
        current //= 2
        x = layers.UpSampling2D(data_format="channels_last", dtype=dtype, name=f"enlarge_{current}")(x)
    options["dtype"] = "float32"
    outputs = layers.Conv2D(output_channels, 3, name="image", **options)(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=name)
