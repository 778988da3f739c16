"""Several tasks on images, learned together."""

from __future__ import annotations

from typing import Any

import keras

from kgen.heads import Head
from kgen.models.recognition_model import RecognitionModel
from kgen.serializable import serializable
from kgen.types import Array, ImageShape, Tensor, ValueRange, Verbose


@serializable
class MultiTaskModel(RecognitionModel):
    """Named heads on one backbone, trained together: what one task teaches helps the others.

    The loss is the weighted sum of the heads' losses [Caruana 1997, "Multitask learning"]. A `ReconstructionHead`
    learns from every image, a `ClassificationHead` only from images whose label is not -1: few labels can go with many
    images. The logs name each head's loss, and its metric with the head's name in front: `clothes`,
    `clothes_accuracy`.

    Args:
        backbone: a network from images, as in `ImageClassifier`; it is copied.
        heads: dict from name to `kgen.heads.Head`: `ClassificationHead`, `SegmentationHead`, `ReconstructionHead`.
        image_shape, value_range, frozen, ema_momentum, seed: as in `ImageClassifier`.
        **kwargs: `name`, `dtype`.

    Raises:
        TypeError: if the backbone is neither a name nor a Keras model, or a head is not a `Head`.
        ValueError: if the backbone lacks what the heads build on, or another argument is out of range.

    Example:

    ```python
    model = kgen.models.MultiTaskModel(
        kgen.networks.residual_encoder((28, 28, 1)),
        {
            "clothes": kgen.heads.ClassificationHead(10),
            "copy": kgen.heads.ReconstructionHead(kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64)),
        },
    )
    model.compile(weights={"copy": 0.01})
    model.fit(images, {"clothes": labels}, epochs=10)       # -1 where the label is not known
    model.answer("clothes", images[:2])                     # probabilities (2, 10)
    ```
    """

    predicts_by = "answers"

    def __init__(
        self,
        backbone: str | keras.Model,
        heads: dict[str, Head],
        image_shape: ImageShape | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        frozen: bool | str = False,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.assemble(backbone, heads, image_shape, value_range, frozen, ema_momentum)
        self.weights_of_heads = dict.fromkeys(heads, 1.0)

    def compile(
        self, optimizer: Any = "auto", weights: dict[str, float] | None = None, augmentation: Any = None, **kwargs: Any
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            weights: dict from a head's name to the weight of its loss; 1 for all other heads.
            augmentation: one or more Keras image preprocessing layers for training steps; labels and masks change with
                the images, and a `ReconstructionHead` reconstructs the changed images.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: if the augmentation has the wrong type, or for `metrics`: each head has its own.
            ValueError: for a negative weight, or the weight of an unknown head.
        """
        weights = {**dict.fromkeys(self.heads, 1.0), **(weights or {})}
        if set(weights) != set(self.heads) or not all(weight >= 0 for weight in weights.values()):
            raise ValueError(
                f"MultiTaskModel.compile: weights must be numbers of at least 0 for the heads {sorted(self.heads)}; "
                f"got {weights}."
            )
        if kwargs.get("metrics"):
            raise TypeError(
                f"MultiTaskModel.compile: leave out metrics, which cannot tell the heads {sorted(self.heads)} apart; "
                "each head reports its own."
            )
        self.weights_of_heads = weights
        self.compile_heads(optimizer, augmentation, {"weights": weights}, **kwargs)

    def weight(self, head: str) -> float:
        """The weight of a head's loss among the others."""
        return self.weights_of_heads[head]

    def answer(
        self, head: str, images: Any, batch_size: int = 64, verbose: Verbose = "auto", value_range: ValueRange = None
    ) -> Array:
        """What one head says about images.

        Args:
            head: its name.
            images, batch_size, verbose, value_range: as in `ImageClassifier.classify`.

        Returns:
            Probabilities `(N, num_classes)` of a `ClassificationHead`, class numbers, uint8 `(N, height, width)`, of a
            `SegmentationHead`, uint8 images of a `ReconstructionHead`.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for an unknown head, or images of another shape or range.
        """
        if head not in self.heads:
            raise ValueError(f"MultiTaskModel.answer: there is no head {head!r}; the heads are {sorted(self.heads)}.")
        return self.ask(head, images, "answer", batch_size, verbose, value_range)

    def answers(
        self, images: Any, batch_size: int = 64, verbose: Verbose = "auto", value_range: ValueRange = None
    ) -> dict[str, Array]:
        """What each head says about images: a dict from the head's name to its `answer`; arguments as in `answer`."""
        return {head: self.ask(head, images, "answers", batch_size, verbose, value_range) for head in self.heads}

    def serve(self, images: Tensor) -> dict[str, Tensor]:
        """What each head answers, by the head's name."""
        return self.served_answers(images)
