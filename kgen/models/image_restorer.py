"""Image restoration, learned from clean images alone."""

from __future__ import annotations

import math
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks, networks
from kgen.inference.coarse_to_fine import filled_from_coarse_to_fine
from kgen.inference.restore import restored_images
from kgen.inputs import PatchInput, pixels
from kgen.layers import Degradation, Downscale, RandomMask
from kgen.layers.borders import in_whole_multiples
from kgen.layers.random_mask import hidden
from kgen.layers.saturation import luma
from kgen.models.image_model import ImageModel
from kgen.networks.interface import check_discriminator
from kgen.objectives import Likeness
from kgen.objectives.restoration import Restoration
from kgen.sampling.tiles import MULTIPLE
from kgen.serializable import arguments_of, serializable
from kgen.training import MovingAverage
from kgen.types import Tensor, ValueRange, Verbose

# At least this many pixels a network fills inwards from the edge of a hole.
_REACH = 4
# How often an exported model halves images to fill wide holes.
_LEVELS = 5


@serializable
class ImageRestorer(ImageModel):
    """A network that undoes degradations of images: noise, JPEG, small size, missing parts.

    It trains on clean images alone, in patches of one size: each step degrades them afresh, in the order of the
    degradations, and the network learns to restore them. The weights are averaged over training; `restore`, `evaluate`
    and validation use the average. The logs name `psnr`, of restored against clean images, in dB.

    The default network sees about 20 pixels around each pixel. What only the whole image shows, such as bad light or a
    colour cast, needs a network that sees all of it, or Keras' `AutoContrast` and `kgen.layers.ColorBalance`.

    Args:
        degradations: list of `kgen.layers.Degradation`: `GaussianNoise`, `PoissonNoise`, `Blur`, `JpegCompression`,
            `Downscale`, `LowLight`, `ColorCast`, or your own; for missing parts `RandomMask`, as the last one. They use
            the model's random numbers.
        scale: how many times larger a restored image is; if it is above 1 and no degradation shrinks images,
            `Downscale(scale)` comes first.
        channels: channels of the images, 3 or 1.
        network: built `keras.Model` from images `(batch, H, W, channels)` in [0, 1], with one more channel for
            `RandomMask`, to `(batch, scale * H, scale * W, channels)`, for any H and W that are multiples of 8; None
            for a `kgen.networks.restoration_network`.
        discriminator: optional network from images in [-1, 1], of the size of the patches, to logits `(batch, 1)`:
            restored images must also convince it [Ledig et al. 2017, "Photo-realistic single image super-resolution
            using a generative adversarial network"].
        ema_momentum: momentum of the average of the weights, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: for a degradation that is not a `kgen.layers.Degradation`.
        ValueError: for degradations that do not shrink images by `scale`, a `RandomMask` that is not the last, or a
            network with other shapes.

    Example:

    ```python
    restorer = kgen.models.ImageRestorer([kgen.layers.GaussianNoise((0, 50))])
    restorer.compile()
    restorer.fit(kgen.data.random_patches(images, 64, count=4000, seed=0), epochs=10)
    restorer.restore(photo)                 # uint8, of any size; with alpha if it has alpha
    ```
    """

    generates = pairs = True
    predicts_by = "restore"

    def __init__(
        self,
        degradations: Any,
        scale: int = 1,
        channels: int = 3,
        network: keras.Model | None = None,
        discriminator: keras.Model | None = None,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.scale = scale = checks.integer("ImageRestorer", "scale", scale)
        self.channels = channels = checks.integer("ImageRestorer", "channels", channels)
        self.degradations = checked_degradations(degradations, scale)
        self.image_shape = (None, None, channels)
        self.masked = isinstance(self.degradations[-1], RandomMask)
        # Known pixels stay as they are, unless they are degraded too.
        self.keeps_known = self.masked and len(self.degradations) == 1
        # Half of the widest square that it learns to fill.
        self.reach = max(_REACH, self.degradations[-1].size[1] // 2) if self.masked else 0
        if network is None:
            network = networks.restoration_network(channels, scale, self.masked)
        _check_network(network, channels, scale, self.masked)
        if discriminator is not None:
            patch_shape: Any = getattr(discriminator, "input_shape", ())[1:]
            check_discriminator("ImageRestorer", discriminator, patch_shape)
        # === Layers ===
        self.network = network
        self.average = MovingAverage(network, ema_momentum)
        self.ema_momentum = ema_momentum
        self.discriminator = discriminator
        # === Parts ===
        self.image_input = PatchInput("ImageRestorer", self.image_shape, self.float_scale, max(2, scale))
        self.use_objective(Restoration())
        self.built = True

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        loss: Any = "auto",
        perceptual: Any = None,
        perceptual_weight: float = 0.1,
        adversarial_loss: Any = "auto",
        penalties: Any = "auto",
        adversarial_weight: float = 0.01,
        **kwargs: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3), one optimizer, or a dict with `network` and, if the model has one,
                `discriminator`.
            loss: of pixels in [0, 1]: "l1", "l2", "charbonnier" or a `kgen.losses.PixelLoss`; "auto" is "l1".
            perceptual: a `kgen.losses.PerceptualLoss`, or what `kgen.metrics.FeatureExtractor.of` takes, such as
                "efficientnet_lite0"; None for none. Only a name is saved with the model.
            perceptual_weight: weight of the perceptual loss; the loss of pixels has weight 1.
            adversarial_loss, penalties: for the discriminator; see `loss` and `penalties` of `GAN.compile`.
            adversarial_weight: weight of the loss from the discriminator.
            **kwargs: `metrics` from `kgen.metrics`, computed on clean and restored images in `evaluate` and on the
                validation data of `fit`; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            ValueError: for an unknown loss, or a negative weight.
        """
        likeness = Likeness(loss, perceptual, perceptual_weight, adversarial_loss, penalties, adversarial_weight)
        self.use_objective(Restoration(likeness))
        super().compile(optimizer, config=arguments_of(likeness), **kwargs)

    def degraded(self, images: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Images `(batch, H, W, channels)` in [0, 1] after all degradations, with random numbers from `seed`."""
        for layer in self.degradations:
            images = layer.degrade(images, seed)
        return images

    def after_step(self) -> None:
        """Updates the averaged weights."""
        self.average.update(self.network)

    def counterparts(self, batch: dict[str, Tensor], paired: bool) -> tuple[Tensor, Tensor]:
        """Clean images, and the same images degraded and restored."""
        return batch["images"], self.objective.attempt(batch, training=False)

    # === Images out ===
    def restore(
        self,
        images: Any,
        masks: Any = None,
        tile: int = 512,
        overlap: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
        out: np.ndarray | None = None,
    ) -> Any:
        """Restored images, `scale` times as large.

        Images larger than a tile are computed in tiles. Memory then grows only with the width of the image, except for
        the result itself, which may lie in a file:

        ```python
        photo = np.load("photo.npy", mmap_mode="r")                         # uint8 (9000, 12000, 3)
        clean = np.lib.format.open_memmap("clean.npy", "w+", photo.dtype, photo.shape)
        restorer.restore(photo, out=clean)
        ```

        Grey images stay grey. Wide holes are filled from coarse to fine: first in the image at half the size, a quarter
        and so on, until the network can fill them; this needs several copies of the whole image.

        Args:
            images: one image `(H, W, channels)`, a batch `(N, H, W, channels)`, or a list of images of any sizes;
                uint8, or float in [0, 1] or [-1, 1]. One more channel is alpha, which is only enlarged with the image.
                A model with three channels also takes grey images, `(H, W)` or with one channel.
            masks: what is missing, for a model with `RandomMask`: `(H, W)`, `(N, H, W)` or a list; not 0 at missing
                pixels.
            tile: side of a tile in pixels of `images`, a multiple of 8; smaller tiles need less memory, more time.
            overlap: overlap of neighbouring tiles, a multiple of 8, at most half of a tile.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range of the training images, or [0, 1] if that is unknown.
            out: array for the result, with its shape and dtype: a memory map for images that do not fit into memory.
                Images without alpha and masks are written part by part. None: a new array.

        Returns:
            uint8 array `(scale * H, scale * W, channels)`, a batch or a list, like `images` and with as many channels.
            If `RandomMask` is the only degradation, known pixels are those of `images`.

        Raises:
            TypeError: if `images` is none of these.
            ValueError: for images with other channels or range; masks that are missing, not used, or of another size;
                an `out` of another shape or dtype; or a wrong tile or overlap.
        """
        if not self.trained:
            warnings.warn("ImageRestorer has not been trained: images do not change.", stacklevel=2)
        restored = restored_images(self, images, masks, tile, overlap, verbose, value_range, out)
        return restored if out is None else out

    def restored(self, degraded: Tensor, network: Any, training: bool = False) -> Tensor:
        """Degraded images in [0, 1] after a network, float32; known pixels stay if nothing else degrades them."""
        restored = ops.cast(network(degraded, training=training), "float32")
        if self.keeps_known:
            restored = ops.where(degraded[..., -1:] > 0.5, restored, degraded[..., :-1])
        return restored

    def restored_inputs(self, inputs: dict[str, Tensor]) -> Tensor:
        """Restored images, not clipped to [0, 1], from `images` and `masks` `(N, H, W, 1)`: the graph of `restore`.

        An image with three equal channels gives one with three equal channels.
        """
        images = 0.5 * pixels.in_network_range(inputs["images"]) + 0.5
        if self.masked:
            missing = ops.cast(ops.not_equal(inputs["masks"], 0), "float32")
            images = ops.concatenate([hidden(images, missing), missing], axis=-1)
        height, width = ops.shape(images)[1:3]
        restored = self.restored(in_whole_multiples(images), self.average)
        restored = restored[:, : height * self.scale, : width * self.scale]
        if self.channels != 3:
            return restored
        is_grey = ops.all(ops.equal(images[..., 1:3], images[..., :1]), axis=(1, 2, 3), keepdims=True)
        return ops.where(is_grey, luma(restored), restored)

    def call(self, images: Tensor) -> Tensor:
        """Restored images from degraded ones in [0, 1]."""
        return self.restored(images, self.average)

    @property
    def restoring_network(self) -> keras.Model:
        """The averaged network, from images in [0, 1] to restored ones: a layer for a generator's `postprocessing`.

        With `TextToImage(..., postprocessing=[restorer.restoring_network])` images are `scale` times as large.
        """
        return self.average.network

    # === As a SavedModel ===
    def served_layers(self) -> list:
        """The averaged network."""
        return [self.average]

    def serving_signature(self) -> list:
        """`images`, uint8 `(N, height, width, channels)` of any size; and `masks`, uint8 `(N, height, width)`.

        Holes can be up to about 250 pixels wide.
        """
        specs = [keras.InputSpec("uint8", (None, None, None, self.channels), name="images")]
        return [*specs, keras.InputSpec("uint8", (None, None, None), name="masks")] if self.masked else specs

    def serve(self, images: Tensor, masks: Tensor = None) -> dict[str, Tensor]:
        """A dict of the restored `images`, uint8."""

        def restored(images: Tensor, masks: Tensor = None) -> Tensor:
            levels = 255.0 * ops.clip(self.restored_inputs({"images": images, "masks": masks}), 0.0, 1.0)
            return ops.cast(ops.round(levels), "uint8")

        if masks is None:
            return {"images": restored(images)}
        inputs = images, ops.expand_dims(masks, -1)
        return {"images": filled_from_coarse_to_fine(restored, *inputs, self.reach, self.scale, _LEVELS)}


def checked_degradations(degradations: Any, scale: int) -> list[Degradation]:
    """The checked degradations of a model that enlarges images by `scale`; see `ImageRestorer`."""
    layers = list(degradations) if isinstance(degradations, (list, tuple)) else [degradations]
    wrong = [layer for layer in layers if not isinstance(layer, Degradation)]
    if wrong:
        raise TypeError(
            "ImageRestorer: degradations must be kgen.layers.Degradation, such as kgen.layers.GaussianNoise(25); got "
            f"{wrong[0]!r}."
        )
    if scale > 1 and all(layer.shrinks == 1 for layer in layers):
        layers = [Downscale(scale), *layers]
    shrunk = math.prod(layer.shrinks for layer in layers)
    if shrunk != scale:
        raise ValueError(f"ImageRestorer: the degradations shrink images by {shrunk}, but scale is {scale}.")
    if not layers:
        raise ValueError("ImageRestorer: without a degradation, or a scale above 1, there is nothing to learn.")
    if any(isinstance(layer, RandomMask) for layer in layers[:-1]):
        raise ValueError("ImageRestorer: RandomMask must be the last of the degradations.")
    return layers


def _check_network(network, channels, scale, masked):
    if not isinstance(network, keras.Model) or not network.built:
        raise ValueError(f"ImageRestorer: network must be a built keras.Model; got {network!r}.")
    takes, side = network.input_shape, 2 * MULTIPLE
    given = network.compute_output_shape((1, side, side, takes[-1])) if isinstance(takes, tuple) else None
    if takes != (None, None, None, channels + masked) or tuple(given) != (1, scale * side, scale * side, channels):
        raise ValueError(
            f"ImageRestorer: network must take {(None, None, None, channels + masked)} and make images {scale} times "
            f"as large, with {channels} channels; it takes {takes} and makes {given} from {side} x {side} pixels."
        )
