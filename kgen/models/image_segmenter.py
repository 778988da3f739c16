"""The class of each pixel of an image."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen import networks
from kgen.heads import SegmentationHead
from kgen.heads.segmentation_head import of_pixels
from kgen.models.recognition_model import RecognitionModel
from kgen.serializable import python_numbers, serializable
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class ImageSegmenter(RecognitionModel):
    """A backbone and a decoder that name the class of each pixel: `fit(images, masks)`, `segment`.

    The decoder, `kgen.networks.map_decoder`, sees the backbone's feature maps at every scale, and minimizes
    cross-entropy and Dice loss. The logs name `cross_entropy`, `dice` and `mean_iou`; in `evaluate` and validation
    these belong to the averaged weights, which `segment` uses.

    Args:
        backbone: a network from images, as in `ImageClassifier`, with feature maps; it is copied.
        num_classes: how many classes there are, including the background, at most 256; or
        class_names: their names, in the order of the masks' numbers.
        filters: channels of the decoder's finest block; see `kgen.networks.map_decoder`.
        dice_weight: weight of `kgen.losses.dice`; `kgen.losses.pixel_cross_entropy` has weight 1.
        image_shape, value_range, frozen, ema_momentum, seed: as in `ImageClassifier`.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if the backbone is neither a name nor a Keras model.
        ValueError: if it has no feature maps, or another argument is out of range.

    Example:

    ```python
    data, masks = kgen.data.captioned_shapes(2000, masks=True)
    segmenter = kgen.models.ImageSegmenter.from_image_shape(data.image_shape, num_classes=7)
    segmenter.compile()
    segmenter.fit(data.images, masks, epochs=5)
    segmenter.segment(data.images[:4])          # uint8 (4, 32, 32)
    ```
    """

    judges = True
    predicts_by = "segment"

    def __init__(
        self,
        backbone: str | keras.Model,
        num_classes: int | None = None,
        class_names: Any = None,
        filters: int = 16,
        dice_weight: float = 1.0,
        image_shape: ImageShape | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        frozen: bool | str = False,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        head = SegmentationHead(num_classes, class_names, filters, dice_weight)
        self.num_classes, self.class_names = head.num_classes, head.class_names
        self.filters, self.dice_weight = filters, dice_weight
        self.assemble(backbone, {"masks": head}, image_shape, value_range, frozen, ema_momentum)

    @classmethod
    @python_numbers
    def from_image_shape(
        cls, image_shape: ImageShape, num_classes: int | None = None, class_names: Any = None, **kwargs: Any
    ) -> ImageSegmenter:
        """An untrained segmenter with a small `kgen.networks.residual_encoder`.

        Args:
            image_shape: `(height, width, channels)`.
            num_classes, class_names: as in `ImageSegmenter`.
            **kwargs: as in `ImageSegmenter`.
        """
        return cls(networks.residual_encoder(image_shape, filters=32), num_classes, class_names, **kwargs)

    def compile(self, optimizer: Any = "auto", augmentation: Any = None, **kwargs: Any) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            augmentation: one or more Keras image preprocessing layers for training steps, such as
                `keras.layers.RandomFlip`; masks move with the images.
            **kwargs: `metrics` from `keras.metrics`, on one-hot classes and probabilities `(batch, height, width,
                num_classes)`, such as `OneHotIoU`; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: if the augmentation has the wrong type.
        """
        self.compile_heads(optimizer, augmentation, {}, **kwargs)

    def judged(self, batch: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """One-hot classes and probabilities of pixels, `(batch, height, width, num_classes)`, and weights if any."""
        probabilities = ops.softmax(self(batch["images"]), axis=-1)
        truth = ops.one_hot(batch["masks"], self.num_classes, dtype="float32")
        weights = batch.get("sample_weight", {})
        return truth, probabilities, *([of_pixels(weights["masks"], batch["masks"])] if weights else [])

    def segment(
        self, images: Any, batch_size: int = 64, verbose: Verbose = "auto", value_range: ValueRange = None
    ) -> Array:
        """The most probable class of each pixel.

        Args:
            images, batch_size, verbose, value_range: as in `ImageClassifier.classify`.

        Returns:
            uint8 array `(N, height, width)` of class numbers.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range.
        """
        return self.ask("masks", images, "segment", batch_size, verbose, value_range)

    def call(self, images: Tensor) -> Tensor:
        """Logits `(N, height, width, num_classes)` of images in [-1, 1]."""
        return self.average(images)["masks"]

    def serve(self, images: Tensor) -> dict[str, Tensor]:
        """`{"masks"}`: what `segment(images)` gives."""
        return self.served_answers(images)
