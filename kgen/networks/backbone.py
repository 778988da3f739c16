"""Any network that reads images, used as a part of another network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import layers

from kgen.metrics.efficientnet_lite0 import efficientnet_lite0
from kgen.serializable import python_numbers
from kgen.types import Tensor


def named_backbone(
    owner: str, name: str, image_size: tuple[int, int] | None = None
) -> tuple[keras.Model, tuple[float, float]]:
    """A network by its name, and the values that it expects for black and white.

    Args:
        owner: name that errors begin with.
        name: "efficientnet_lite0", with its ImageNet weights, from pip.
        image_size: `(height, width)` to make it for; None: 224x224, the size it was trained on.

    Raises:
        ImportError: the weights are not installed.
        ValueError: for an unknown name.

    Example:

    ```python
    network, value_range = named_backbone("Mine", "efficientnet_lite0")
    ```
    """
    if name != "efficientnet_lite0":
        raise ValueError(f"{owner}: unknown network {name!r}. Pass 'efficientnet_lite0' or a keras.Model.")
    extractor = efficientnet_lite0()
    network, (low, high) = extractor.network, extractor.value_range
    if image_size is not None:
        copy = keras.models.clone_model(network, input_tensors=keras.Input((*image_size, 3), name="images"))
        copy.set_weights(network.get_weights())
        network = copy
    return network, (low, high)


@python_numbers
def backbone_encoder(
    backbone: str | keras.Model, wanted: Iterable[str] = ("vector",), owner: str = "backbone_encoder"
) -> keras.Model:
    """A network from images to the features of a backbone, with the same weights.

    The *vector* `(batch, n)` is the output of the layer named "features", as in the discriminators and encoders of
    kgen. Without such a layer it is the backbone's output, averaged over positions if there are any. The *maps* are
    the last feature map on every grid whose positions cover a whole number of pixels, fine to coarse.

    Args:
        backbone: a functional `keras.Model` or a built `keras.Sequential` that takes images: a discriminator or its
            features, a VAE's encoder, a model of `keras.applications` or a backbone of KerasHub; or
            "efficientnet_lite0".
        wanted: "vector", "maps", or both.
        owner: name that errors begin with.

    Returns:
        A `keras.Model` with a dict of the wanted features: `{"vector": (batch, n), "maps": [(batch, h, w, c), ...]}`.

    Raises:
        ImportError: the weights of a named network are not installed.
        TypeError: if the backbone is neither a name nor a Keras model.
        ValueError: for an unknown name, or a backbone that has no known graph, takes more than images, or has no such
            features.

    Example:

    ```python
    encoder = kgen.networks.backbone_encoder(vae.encoder, wanted=("maps",))
    [tuple(each.shape) for each in encoder.output["maps"]]      # fine to coarse
    ```
    """
    if isinstance(backbone, str):
        backbone = named_backbone(owner, backbone)[0]
    if not isinstance(backbone, keras.Model):
        raise TypeError(f"{owner}: the backbone must be a name or a keras.Model; got {type(backbone).__name__}.")
    if not isinstance(backbone, (keras.Sequential, keras.Function)) or not backbone.built:
        raise ValueError(
            f"{owner}: the backbone must be a functional keras.Model or a built keras.Sequential, so that its "
            f"graph of layers is known; got {type(backbone).__name__} {backbone.name!r}."
        )
    if len(backbone.inputs) != 1 or len(backbone.inputs[0].shape) != 4:
        raise ValueError(
            f"{owner}: the backbone must take only images (batch, height, width, channels); {backbone.name!r} takes "
            f"{[tuple(each.shape) for each in backbone.inputs]}. The features of a network that is told the class "
            "do not depend on the image alone."
        )
    find = {"vector": _vector, "maps": _maps}
    outputs = {name: find[name](owner, backbone) for name in wanted}
    return keras.Model(backbone.inputs[0], outputs, name=f"{backbone.name}_encoder")


def adapted_images(owner: str, images: Tensor, takes: tuple, value_range: tuple) -> Tensor:
    """Converts symbolic images in [-1, 1] to a backbone's size, number of channels and range."""
    height, width, channels = takes
    low, high = value_range
    x = images
    if (low, high) != (-1.0, 1.0):
        x = layers.Rescaling((high - low) / 2, (high + low) / 2, name="to_range")(x)
    size = (height or x.shape[1], width or x.shape[2])
    if size != tuple(x.shape[1:3]):
        x = layers.Resizing(
            *size, interpolation="bilinear", antialias=True, data_format="channels_last", name="resize"
        )(x)
    if channels == 3 and x.shape[-1] == 1:
        x = layers.Concatenate(name="repeat_grey")([x, x, x])
    if channels not in (None, x.shape[-1]):
        raise ValueError(
            f"{owner}: the backbone takes images of {channels} channels; image_shape {tuple(images.shape[1:])} has "
            f"{x.shape[-1]}."
        )
    return x


def _vector(owner: str, backbone: keras.Model) -> Tensor:
    # The backbone may be a saved and loaded `backbone_encoder`; a segmenter's has only maps.
    maps = _known(backbone, "maps")
    x = maps[-1] if maps and _known(backbone, "vector") is None else _known(backbone, "vector")
    for layer in backbone.layers if x is None else []:
        if layer.name == "features":
            x = layer.output
    x = _output(backbone) if x is None else x
    if isinstance(x, dict) or len(getattr(x, "shape", ())) not in (2, 3, 4):
        raise ValueError(
            f"{owner}: {backbone.name!r} has no layer named 'features', and its output is not a tensor (batch, "
            "..., features). Pass a model that ends with the features, such as kgen.networks.feature_network(network)."
        )
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="mean_of_positions")(x)
    elif len(x.shape) == 3:
        x = layers.GlobalAveragePooling1D(data_format="channels_last", name="mean_of_tokens")(x)
    return x


def _maps(owner: str, backbone: keras.Model) -> list[Tensor]:
    if (known := _known(backbone, "maps")) is not None:
        return list(known)
    height, width = backbone.inputs[0].shape[1:3]
    if None in (height, width):
        raise ValueError(f"{owner}: {backbone.name!r} must have a fixed image size, so that its maps have one too.")
    found: dict[int, Tensor] = {}
    for layer in backbone.layers:
        try:
            output = layer.output
        except (AttributeError, ValueError):
            # A layer that is used twice has no single output.
            continue
        shape: Any = getattr(output, "shape", ())
        if isinstance(layer, layers.InputLayer) or len(shape) != 4 or None in shape[1:]:
            continue
        if shape[1:3] == (1, 1) and output is not _output(backbone):
            # The gate of a squeeze-and-excitation block, not a map.
            continue
        if height % shape[1] == width % shape[2] == 0 and height // shape[1] == width // shape[2]:
            found[height // shape[1]] = output
    if not found:
        raise ValueError(f"{owner}: {backbone.name!r} has no feature maps (batch, height, width, channels).")
    return [found[reduction] for reduction in sorted(found)]


def _known(backbone: keras.Model, name: str) -> Any:
    output = _output(backbone)
    return output.get(name) if isinstance(output, dict) and set(output) <= {"vector", "maps"} else None


def _output(backbone: keras.Model) -> Any:
    return backbone.outputs[0] if isinstance(backbone, keras.Sequential) else backbone.output
