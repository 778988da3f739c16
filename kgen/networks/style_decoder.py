"""From feature maps back to a picture of any size."""

from __future__ import annotations

import keras
from keras import layers


def style_decoder(channels, factor, filters=16, max_filters=128, output_channels=3, dtype=None, name="style_decoder"):
    """The mirror of a feature network: convolutions, and nearest neighbours where it took every other position.

    Without normalisation, which would take a style's statistics away again [Huang & Belongie 2017, section 7.1]. It is
    fully convolutional: of features on a grid it makes a picture `factor` times as large.

    Args:
        channels: of the features.
        factor: how many times smaller than the picture their grid is, a power of two.
        filters: channels of the finest convolutions; doubled at each coarser grid, up to `max_filters`.
        max_filters: of the coarsest convolutions at most.
        output_channels: of the picture.
        dtype: dtype or policy of the layers; None is Keras' global one. The picture is float32 under any.
        name: of the network.

    Returns:
        A `keras.Model` from `(batch, h, w, channels)` to `(batch, h * factor, w * factor, output_channels)`, linear: a
        picture in [-1, 1] once it is trained.

    Raises:
        ValueError: if `factor` is no power of two.

    Example:

    ```python
    decoder = kgen.networks.style_decoder(channels=240, factor=8)
    decoder(keras.random.normal((1, 16, 24, 240))).shape      # (1, 128, 192, 3)
    ```
    """
    if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1 or factor & (factor - 1):
        raise ValueError(f"style_decoder: factor must be a power of two, such as 8; got {factor!r}.")
    options = {"padding": "same", "data_format": "channels_last", "dtype": dtype}
    inputs = keras.Input((None, None, channels), name="features")
    x = inputs
    while True:
        width = min(filters * factor, max_filters)
        for half in ("a", "b"):
            x = layers.Conv2D(width, 3, activation="relu", name=f"convolution_{factor}{half}", **options)(x)
        if factor == 1:
            break
        factor //= 2
        x = layers.UpSampling2D(data_format="channels_last", dtype=dtype, name=f"enlarge_{factor}")(x)
    options["dtype"] = "float32"
    outputs = layers.Conv2D(output_channels, 3, name="image", **options)(x)
    return keras.Model(inputs, outputs, name=name)
