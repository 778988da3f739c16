"""From feature maps back to a picture of any size."""

from __future__ import annotations

import keras
from keras import layers


def style_decoder(channels, factor, filters=16, max_filters=128, output_channels=3, dtype=None, name="style_decoder"):
    """The mirror of a feature network: convolutions, and nearest neighbours where it took every other position.

    Without normalisation, which would take a style's statistics away again [Huang & Belongie 2017, section 7.1]. It is
    fully convolutional: of features on a grid it makes a picture `factor` times as large. Of several maps the coarsest
    comes first, and each finer one joins where its grid is reached, so that edges need not be guessed.

    Args:
        channels: of the features; of several maps a list, fine to coarse.
        factor: how many times smaller than the picture their grid is, a power of two; of several maps a list.
        filters: channels of the finest convolutions; doubled at each coarser grid, up to `max_filters`.
        max_filters: of the coarsest convolutions at most.
        output_channels: of the picture.
        dtype: dtype or policy of the layers; None is Keras' global one. The picture is float32 under any.
        name: of the network.

    Returns:
        A `keras.Model` from `(batch, h, w, channels)`, or a list of such maps, fine to coarse, to
        `(batch, h * factor, w * factor, output_channels)`, linear: a picture in [-1, 1] once it is trained.

    Raises:
        ValueError: if a `factor` is no power of two, or the maps are not one of each, fine to coarse.

    Example:

    ```python
    decoder = kgen.networks.style_decoder(channels=240, factor=8)
    decoder(keras.random.normal((1, 16, 24, 240))).shape      # (1, 128, 192, 3)
    kgen.networks.style_decoder(channels=[96, 144], factor=[2, 4])      # reads maps at 1/2 and at 1/4 of the picture
    ```
    """
    channels, factors = ([each] if isinstance(each, int) else list(each) for each in (channels, factor))
    for each in factors:
        if isinstance(each, bool) or not isinstance(each, int) or each < 1 or each & (each - 1):
            raise ValueError(f"style_decoder: factor must be a power of two, such as 8; got {each!r}.")
    if len(channels) != len(factors) or not factors or factors != sorted(factors):
        raise ValueError(
            f"style_decoder: channels and factor must be of the same maps, fine to coarse; got {channels}, {factors}."
        )
    options = {"padding": "same", "data_format": "channels_last", "dtype": dtype}
    inputs = [keras.Input((None, None, each), name=f"features_{i}") for i, each in enumerate(channels)]
    x, factor = None, factors[-1]
    while True:
        maps = [each for each, own in zip(inputs, factors) if own == factor] + ([] if x is None else [x])
        x = maps[0] if len(maps) == 1 else layers.Concatenate(dtype=dtype, name=f"join_{factor}")(maps)
        width = min(filters * factor, max_filters)
        for half in ("a", "b"):
            x = layers.Conv2D(width, 3, activation="relu", name=f"convolution_{factor}{half}", **options)(x)
        if factor == 1:
            break
        factor //= 2
        x = layers.UpSampling2D(data_format="channels_last", dtype=dtype, name=f"enlarge_{factor}")(x)
    options["dtype"] = "float32"
    outputs = layers.Conv2D(output_channels, 3, name="image", **options)(x)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], outputs, name=name)
