"""From the feature maps of a backbone to a map of the image's size."""

from __future__ import annotations

from collections.abc import Sequence

from keras import layers

from kgen.layers import PixelShuffle, ResidualBlock2D
from kgen.serializable import python_numbers
from kgen.types import Tensor


@python_numbers
def map_decoder(
    images: Tensor, maps: Sequence[Tensor], channels: int, filters: int = 16, name: str = "decoder"
) -> Tensor:
    """Feature maps to a vector at each pixel.

    The expanding path of the U-Net [Ronneberger et al. 2015, "U-Net: convolutional networks for biomedical image
    segmentation"]. Starting from the coarsest, each map is enlarged by a pixel shuffle, joined to the backbone's next
    finer one, and passed through a residual block. The last is joined to the image itself.

    Args:
        images: symbolic tensor `(batch, height, width, C)`.
        maps: symbolic tensors, fine to coarse, from `backbone_encoder`. Each position covers a whole number of pixels.
        channels: length of the vector at each pixel.
        filters: channels of the finest block, doubled at each coarser block, up to four times as many.
        name: prefix of the layers' names.

    Returns:
        A symbolic tensor `(batch, height, width, channels)`, float32.

    Raises:
        ValueError: if a map cannot be enlarged to the next by a whole factor.

    Example:

    ```python
    images = keras.Input((64, 64, 3))
    encoder = kgen.networks.backbone_encoder(vae.encoder, wanted=("maps",))
    logits = kgen.networks.map_decoder(images, encoder(images)["maps"], channels=7)
    ```
    """
    x = maps[-1]
    finer = maps[-2::-1]
    if maps[0].shape[1:3] != images.shape[1:3]:
        finer = [*finer, images]
    for step, skip in enumerate(finer):
        width = filters * min(4, 2 ** (len(finer) - 1 - step))
        factor, rest = divmod(skip.shape[1], x.shape[1])
        if rest or skip.shape[2] != factor * x.shape[2]:
            raise ValueError(
                f"map_decoder: a map of {x.shape[1]}x{x.shape[2]} cannot be enlarged to the next, "
                f"{skip.shape[1]}x{skip.shape[2]}, by a whole factor. Choose an image size that can be halved evenly."
            )
        side = min(skip.shape[1:3])
        x = layers.Dense(factor**2 * width, name=f"{name}_expand_{side}")(x)
        x = PixelShuffle(factor, name=f"{name}_enlarge_{side}")(x) if factor > 1 else x
        x = layers.Concatenate(name=f"{name}_join_{side}")([x, skip])
        x = layers.Dense(width, name=f"{name}_width_{side}")(x)
        x = ResidualBlock2D(width, name=f"{name}_block_{side}")(x)
    x = layers.Activation("leaky_relu", name=f"{name}_activation")(x)
    return layers.Dense(channels, dtype="float32", name=f"{name}_output")(x)
