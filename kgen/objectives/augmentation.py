"""Keras' image preprocessing layers within a training step."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from kgen.types import Tensor

_MIXING = (keras.layers.MixUp, keras.layers.CutMix)


class Augmentation:
    """Changes images at random, and their labels and masks with them, by layers of `keras.layers`.

    The layers see pixels from 0 to 255, as they expect by default: `RandomFlip`, `RandomTranslation`, `RandAugment`,
    `MixUp` [Zhang et al. 2018], `CutMix` [Yun et al. 2019] and the like, in the order given. They are copied, compute
    in float32, and draw from the model's random numbers, so that a resumed run repeats an uninterrupted one, and
    replicas differ.

    Args:
        owner: name that errors begin with.
        layers: a layer or a list of them; None for none.
        seeds: `keras.random.SeedGenerator` to draw from.

    Raises:
        TypeError: for anything but image preprocessing layers of Keras.

    Example:

    ```python
    augmentation = Augmentation("ImageClassifier", [keras.layers.RandomFlip("horizontal")], model.training_seeds)
    images, labels, masks = augmentation(images, labels)
    ```
    """

    def __init__(self, owner: str, layers: Any, seeds: keras.random.SeedGenerator):
        layers = [] if layers is None else list(layers) if isinstance(layers, (list, tuple)) else [layers]
        for layer in layers:
            if not isinstance(layer, keras.layers.Layer) or not hasattr(layer, "transform_images"):
                raise TypeError(
                    f"{owner}: augmentation must be image preprocessing layers of Keras, such as "
                    f"keras.layers.RandomFlip('horizontal') or keras.layers.MixUp(); got {layer!r}."
                )
        self.owner = owner
        self.layers = [_drawing_from(seeds, layer) for layer in layers]

    def __call__(
        self, images: Tensor, labels: Tensor | None = None, masks: Tensor | None = None
    ) -> tuple[Tensor, Any, Any]:
        """Applies the layers to a batch.

        Args:
            images: `(batch, height, width, channels)` in [-1, 1].
            labels: one-hot, `(batch, num_classes)`, or None; they come back mixed if images are mixed.
            masks: integers `(batch, height, width, n)`, or None; they move with the images.

        Returns:
            `(images, labels, masks)`.

        Raises:
            ValueError: for masks together with a layer that mixes images; for a layer that changes the size of images.
        """
        if not self.layers:
            return images, labels, masks
        mixing = [type(layer).__name__ for layer in self.layers if isinstance(layer, _MIXING)]
        if masks is not None and mixing:
            raise ValueError(f"{self.owner}: {mixing[0]} mixes images and labels, but not masks; leave it out.")
        data = {"images": (images + 1.0) * 127.5}
        if labels is not None:
            data["labels"] = ops.cast(labels, "float32")
        if masks is not None:
            data["segmentation_masks"] = ops.cast(masks, "float32")
        for layer in self.layers:
            data = layer(data, training=True)
            made, wanted = tuple(data["images"].shape[1:]), tuple(images.shape[1:])
            if any(side not in (other, None) for side, other in zip(made, wanted)):
                raise ValueError(
                    f"{self.owner}: {type(layer).__name__} makes images of shape {made} from {wanted}; an augmentation "
                    "must not change their shape."
                )
        # Keras' layers may lose what is known of the shape.
        count = ops.shape(images)[0]
        images = ops.reshape(data["images"], (count, *images.shape[1:])) / 127.5 - 1.0
        if masks is not None:
            masks = ops.cast(ops.reshape(data["segmentation_masks"], (count, *masks.shape[1:])), masks.dtype)
        return images, data.get("labels"), masks


def _drawing_from(seeds, layer):
    copy = type(layer).from_config({**layer.get_config(), "dtype": "float32"})
    # RandAugment contains other layers like these.
    for part in (copy, *vars(copy).values()):
        if isinstance(part, keras.layers.Layer) and hasattr(part, "generator"):
            part.generator = seeds
    return copy
