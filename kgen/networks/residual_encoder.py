"""A small convolutional network that learns from labels quickly."""

from __future__ import annotations

from collections.abc import Sequence

import keras
from keras import layers

from kgen.networks.own_scope import in_own_scope
from kgen.networks.stages import coarsest_side, stage_blocks, stage_grids
from kgen.serializable import python_numbers
from kgen.types import ImageShape, Tensor


@in_own_scope
@python_numbers
def residual_encoder(
    image_shape: ImageShape,
    filters: int = 64,
    blocks: int | Sequence[int] = 1,
    patch: int = 2,
    feature_dim: int = 128,
    dropout: float = 0.2,
    name: str = "encoder",
) -> keras.Model:
    """Images to features by convolutions with batch normalisation and residual blocks, for classifiers.

    After He et al. (2016), "Deep residual learning for image recognition", sized for a few CPU cores. The first
    convolution gives a grid of the image's size / patch. Every stage has blocks of a single convolution,
    y = x + relu(norm(W x)), and the next stage has half the grid and twice the channels. The coarsest grid is pooled
    and flattened, which keeps positions apart.

    Args:
        image_shape: `(height, width, channels)`. Halving must bring the shorter side to 4, 5, 6 or 7.
        filters: channels of the finest stage, doubled at each coarser stage, up to four times as many.
        blocks: residual blocks of each stage, one number or one per stage, fine to coarse.
        patch: stride of the first convolution.
        feature_dim: length of the features, the layer "features".
        dropout: share of the coarsest grid's values that is dropped in training, in [0, 1).
        name: name of the model.

    Returns:
        A `keras.Model` from images `(batch, *image_shape)` in [-1, 1] to non-negative features `(batch, feature_dim)`.

    Raises:
        ValueError: if an argument does not fit the image shape.

    Example:

    ```python
    encoder = kgen.networks.residual_encoder((32, 32, 3))
    encoder.output_shape        # (None, 128)
    ```
    """
    owner = "residual_encoder"
    grids = stage_grids(owner, image_shape, coarsest_side(owner, image_shape, patch), patch)[::-1]
    depths = stage_blocks(owner, blocks, len(grids))

    def unit(x: Tensor, width: int, kernel_size: int, strides: int, unit_name: str) -> Tensor:
        # No bias: the normalisation has one.
        x = layers.Conv2D(
            width,
            kernel_size,
            strides,
            padding="same",
            use_bias=False,
            data_format="channels_last",
            name=f"{unit_name}_convolution",
        )(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{unit_name}_normalize")(x)
        return layers.ReLU(name=f"{unit_name}_relu")(x)

    inputs = keras.Input(tuple(image_shape), name="images")
    x = unit(inputs, filters, patch + 2, patch, "stem")
    for stage, (grid, depth) in enumerate(zip(grids, depths)):
        side = min(grid)
        if stage:
            x = unit(x, filters * min(4, 2**stage), 3, 2, f"reduce_{side}")
        for i in range(depth):
            block = f"block_{side}_{i + 1}"
            x = layers.Add(name=f"{block}_sum")([x, unit(x, x.shape[-1], 3, 1, block)])
    x = layers.MaxPooling2D(2, data_format="channels_last", name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(layers.Flatten(data_format="channels_last", name="flatten")(x))
    x = layers.Dense(feature_dim, use_bias=False, name="dense")(x)
    x = layers.BatchNormalization(momentum=0.9, name="dense_normalize")(x)
    return keras.Model(inputs, layers.ReLU(name="features")(x), name=name)
