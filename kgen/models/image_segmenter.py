"""From a picture to what each of its pixels is of."""

from __future__ import annotations

import keras

from kgen import networks
from kgen.models.heads import SegmentationHead
from kgen.models.recognition_model import RecognitionModel


@keras.saving.register_keras_serializable(package="kgen")
class ImageSegmenter(RecognitionModel):
    """A backbone and a decoder that say of each pixel what it is of: `fit(images, masks)`, `segment`.

    The decoder, `kgen.networks.map_decoder`, sees the backbone's feature maps at every scale, and minimises
    cross-entropy and Dice loss. The logs name `cross_entropy`, `dice` and `mean_iou`; in `evaluate` and validation of
    the averaged weights, which `segment` uses.

    Args:
        backbone: a network from pictures, as of `ImageClassifier`, with feature maps; it is copied.
        num_classes: how many classes there are, the background among them, at most 256; or
        class_names: their names, in the order of the masks' numbers.
        filters: channels of the decoder's finest block; see `kgen.networks.map_decoder`.
        dice_weight: of `kgen.losses.dice` beside `kgen.losses.pixel_cross_entropy`.
        image_shape, value_range, frozen, ema_momentum, seed: as of `ImageClassifier`.

    Raises:
        TypeError: if the backbone is no Keras model.
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

    def __init__(
        self,
        backbone,
        num_classes=None,
        class_names=None,
        filters=16,
        dice_weight=1.0,
        image_shape=None,
        value_range=(-1.0, 1.0),
        frozen=False,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        head = SegmentationHead(num_classes, class_names, filters, dice_weight)
        super().__init__(backbone, {"masks": head}, image_shape, value_range, frozen, ema_momentum, seed, **kwargs)
        self.class_names = head.class_names
        self.num_classes = head.num_classes
        self.filters = filters
        self.dice_weight = dice_weight

    @classmethod
    def from_image_shape(cls, image_shape, num_classes=None, class_names=None, **kwargs):
        """A segmenter with a small `kgen.networks.residual_encoder`, to be trained from nothing.

        Args:
            image_shape: `(height, width, channels)`.
            num_classes, class_names: as of `ImageSegmenter`.
            **kwargs: as of `ImageSegmenter`.
        """
        return cls(networks.residual_encoder(image_shape, filters=32), num_classes, class_names, **kwargs)

    def segment(self, images, batch_size=64, verbose="auto"):
        """The most probable class of each pixel.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            uint8 array `(N, height, width)` of numbers of classes.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range.
        """
        return self.ask("masks", images, "segment", batch_size, verbose)

    def call(self, images):
        """Logits `(N, height, width, num_classes)` of images in [-1, 1]."""
        return self.average(images)["masks"]

    # === Config ===
    def get_config(self):
        own = {key: getattr(self, key) for key in ("class_names", "filters", "dice_weight")}
        return {**super().get_config(), **own}
