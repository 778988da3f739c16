"""Frozen feature networks for style transfer."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
from keras import layers

from kgen.metrics.efficientnet_lite0 import efficientnet_lite0
from kgen.serializable import python_numbers

# The first convolution of each stage, one for each grid: relu1_1, relu2_1, relu3_1 and relu4_1 of the paper.
_VGG19 = ("block1_conv1", "block2_conv1", "block3_conv1", "block4_conv1")
# The activations in which a block is wide: 32 and 96 channels at 1/2, 144 at 1/4, 240 at 1/8 of the image.
_EFFICIENTNET = ("relu_0", "relu_2", "relu_6", "relu_10")
# The maps that an image is decoded from: EfficientNet has lost too much of it at 1/8, and its edges at 1/4.
CONTENT_MAPS = {"vgg19": (3,), "efficientnet_lite0": (0, 2)}
# Mean blue, green and red, which were subtracted from the images that VGG19 was trained on.
_VGG_MEAN = (103.939, 116.779, 123.68)


@python_numbers
def style_encoder(
    encoder: str | keras.Model,
    feature_layers: Sequence[str] | None = None,
    value_range: tuple[float, float] = (-1.0, 1.0),
    owner: str = "style_encoder",
) -> keras.Model:
    """A frozen network from images of any size in [-1, 1] to feature maps, fine to coarse.

    Args:
        encoder: "vgg19", which Keras downloads once with its ImageNet weights; "efficientnet_lite0", from pip; or a
            functional `keras.Model` or a built `keras.Sequential` of convolutions. It is copied up to the last map.
        feature_layers: names of the layers whose outputs are the maps; None: a good choice for a named encoder, or the
            outputs of your own model.
        value_range: `(low, high)`: what your own model expects for black and white.
        owner: name that errors begin with.

    Returns:
        A `keras.Model` from `(batch, height, width, 3)` to a list of maps `(batch, h, w, c)`.

    Raises:
        ImportError, OSError: the weights are missing.
        TypeError: `encoder` is neither a name nor a model.
        ValueError: an unknown name, a missing layer, or a layer whose output is not a feature map.

    Example:

    ```python
    encoder = kgen.networks.style_encoder("efficientnet_lite0")
    [features.shape[-1] for features in encoder(keras.ops.zeros((1, 64, 96, 3)))]     # [32, 96, 144, 240]
    ```
    """
    if isinstance(encoder, str):
        if encoder not in ("vgg19", "efficientnet_lite0"):
            raise ValueError(
                f"{owner}: encoder must be 'vgg19', 'efficientnet_lite0' or a keras.Model; got {encoder!r}."
            )
        encoder, known, into_range = _vgg19(owner) if encoder == "vgg19" else _efficientnet_lite0()
        feature_layers = known if feature_layers is None else feature_layers
    else:
        if not isinstance(encoder, keras.Model):
            raise TypeError(f"{owner}: encoder must be a name or a keras.Model; got {type(encoder).__name__}.")
        into_range = None if tuple(value_range) == (-1.0, 1.0) else _rescaling(*value_range)
    if not isinstance(encoder, (keras.Sequential, keras.Function)) or not encoder.built or len(encoder.inputs) != 1:
        raise ValueError(
            f"{owner}: the encoder must be a functional keras.Model or a built keras.Sequential that takes only "
            f"images, so that its graph of layers is known; got {type(encoder).__name__} {encoder.name!r}."
        )
    maps = _outputs(owner, encoder, feature_layers)
    part = keras.Model(encoder.inputs[0], maps)
    images = keras.Input((None, None, encoder.inputs[0].shape[-1]), name="images")
    # The same layers, for images of any size.
    clone = keras.models.clone_model(part, input_tensors=images)
    clone.set_weights(part.get_weights())
    copy = keras.Model(images, list(clone.outputs if into_range is None else clone(into_range(images))), name="encoder")
    copy.trainable = False
    return copy


def _outputs(owner, encoder, feature_layers):
    if feature_layers is None:
        maps = list(encoder.outputs)
    else:
        names = [layer.name for layer in encoder.layers]
        strange = [name for name in feature_layers if name not in names]
        if strange or not feature_layers:
            raise ValueError(
                f"{owner}: feature_layers must be names of layers of {encoder.name!r}, such as {', '.join(names[-8:])}"
                f"; got {', '.join(map(str, strange)) or 'none'}."
            )
        maps = [encoder.get_layer(name).output for name in feature_layers]
    flat = [tuple(each.shape) for each in maps if len(each.shape) != 4]
    if flat:
        raise ValueError(f"{owner}: feature maps must have shape (batch, height, width, channels); got {flat[0]}.")
    return maps


def _efficientnet_lite0():
    extractor = efficientnet_lite0()
    return extractor.network, _EFFICIENTNET, _rescaling(*extractor.value_range)


def _vgg19(owner):
    try:
        network = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # Keras raises a plain Exception for a download that failed
        raise OSError(
            f"{owner}: the weights of VGG19 could not be loaded ({error}). Without a connection, pass "
            "encoder='efficientnet_lite0', which needs pip install \"keras-kgen[metrics]\", or a keras.Model."
        ) from error
    # VGG19 expects blue, green, red from 0 to 255 minus a mean: a 1x1 convolution converts to that.
    into_range = layers.Conv2D(3, 1, kernel_initializer="zeros", name="to_bgr", data_format="channels_last")
    into_range.build((None, None, None, 3))
    into_range.set_weights([127.5 * np.eye(3)[::-1][None, None], 127.5 - np.array(_VGG_MEAN)])
    return network, _VGG19, into_range


def _rescaling(low, high):
    return layers.Rescaling((high - low) / 2, (high + low) / 2, name="to_range")
