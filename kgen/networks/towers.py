"""The two networks of a dual encoder."""

from __future__ import annotations

import math

import keras

from kgen.networks.backbone import adapted_images, backbone_encoder, named_backbone
from kgen.networks.interface import check_network, named_input
from kgen.networks.multiscale_encoder import MultiscaleEncoder
from kgen.networks.stages import halved_side
from kgen.types import ImageShape


def image_tower(image_shape: ImageShape, output_dim: int) -> keras.Model:
    """A small `MultiscaleEncoder` from images to vectors `(batch, output_dim)`.

    Its convolutions begin at about 16x16, which a few cores can handle, and end at 4 to 7, as in GANs, if both sides
    can be halved that often.
    """
    side, common = min(image_shape[:2]), math.gcd(*image_shape[:2])
    patch = next(size for size in range(max(1, side // 16), 0, -1) if common % size == 0)
    end = halved_side(image_shape, patch, most=7)
    return MultiscaleEncoder(image_shape, output_dim, filters=128, end=end, patch=patch, name="image_network")


def named_image_tower(owner: str, name: str, image_shape: ImageShape) -> keras.Model:
    """A network by its name, such as "efficientnet_lite0", from images in [-1, 1] to its vectors.

    Raises:
        ImportError, ValueError: as in `kgen.networks.named_backbone`.
    """
    backbone, value_range = named_backbone(owner, name)
    encoder = backbone_encoder(backbone, owner=owner)
    images = keras.Input(image_shape, name="images")
    seen = adapted_images(owner, images, tuple(encoder.inputs[0].shape[1:]), value_range)
    return keras.Model(images, encoder(seen)["vector"], name="image_network")


def check_towers(
    owner: str,
    image_network: keras.Model,
    text_network: keras.Model,
    image_shape: ImageShape,
    pooled_dim: int,
    embedding_dim: int,
) -> None:
    """Checks that two networks turn images and text features into vectors.

    Args:
        owner: class name that errors begin with.
        image_network: from images `(batch, *image_shape)` to vectors of any length.
        text_network: from `pooled` `(batch, pooled_dim)`, and perhaps tokens, to `(batch, embedding_dim)`.
        image_shape, pooled_dim, embedding_dim: the sizes in these shapes.

    Raises:
        TypeError: if a network is not a `keras.Model`.
        ValueError: if a shape differs.
    """
    check_network(owner, "image_network", image_network)
    images = named_input(owner, image_network, "images")
    if tuple(images.shape[1:]) != image_shape or len(image_network.output_shape) != 2:
        raise ValueError(
            f"{owner}: image_network must take images of shape {image_shape} and give vectors (batch, any); it takes "
            f"{tuple(images.shape[1:])} and gives {image_network.output_shape}."
        )
    check_network(owner, "text_network", text_network)
    pooled = named_input(owner, text_network, "pooled")
    if tuple(pooled.shape) != (None, pooled_dim) or text_network.output_shape != (None, embedding_dim):
        raise ValueError(
            f"{owner}: text_network must take 'pooled' of shape (None, {pooled_dim}) and give (None, {embedding_dim}); "
            f"it takes {tuple(pooled.shape)} and gives {text_network.output_shape}."
        )
