"""Several questions about pictures, learned at once."""

from __future__ import annotations

import keras

from kgen.models.recognition_model import RecognitionModel


@keras.saving.register_keras_serializable(package="kgen")
class MultiTaskModel(RecognitionModel):
    """Named heads on one backbone, trained together: what one question teaches helps with the others.

    The loss is the weighted sum of the heads' losses [Caruana 1997, "Multitask learning"]. A `ReconstructionHead`
    learns from every picture, a `ClassificationHead` from those whose label is not -1: so few labels go with many
    pictures. The logs name each head's loss, and each measure after its head: `clothes`, `clothes_accuracy`.

    Args:
        backbone: a network from pictures, as of `ImageClassifier`; it is copied.
        heads: dict from name to `kgen.models.Head`: `ClassificationHead`, `SegmentationHead`, `ReconstructionHead`.
        image_shape, value_range, frozen, ema_momentum, seed: as of `ImageClassifier`.

    Raises:
        TypeError: if the backbone is no Keras model, or a head is none.
        ValueError: if the backbone has not what the heads build on, or another argument is out of range.

    Example:

    ```python
    model = kgen.models.MultiTaskModel(
        kgen.networks.residual_encoder((28, 28, 1)),
        {
            "clothes": kgen.models.ClassificationHead(10),
            "pictures": kgen.models.ReconstructionHead(kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64)),
        },
    )
    model.compile(weights={"pictures": 0.01})
    model.fit(images, {"clothes": labels}, epochs=10)       # -1 where the label is not known
    model.answer("clothes", images[:2])                     # probabilities (2, 10)
    ```
    """

    def __init__(
        self,
        backbone,
        heads,
        image_shape=None,
        value_range=(-1.0, 1.0),
        frozen=False,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        super().__init__(backbone, heads, image_shape, value_range, frozen, ema_momentum, seed, **kwargs)
        self.weights_of_heads = dict.fromkeys(heads, 1.0)

    def compile(self, optimizer="auto", weights=None, augmentation=None, **kwargs):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            weights: dict from a head's name to the weight of its loss; 1 for those that are not in it.
            augmentation: image preprocessing layers of Keras for training steps, or one; labels and masks change with
                the pictures, and the pictures as they were changed are what is to be reconstructed.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for an augmentation that is none.
            ValueError: for a weight that is negative, or of no head.
        """
        weights = {**dict.fromkeys(self.heads, 1.0), **(weights or {})}
        if set(weights) != set(self.heads) or not all(weight >= 0 for weight in weights.values()):
            raise ValueError(
                f"MultiTaskModel.compile: weights must be numbers of at least 0 for the heads {sorted(self.heads)}; "
                f"got {weights}."
            )
        self.weights_of_heads = weights
        super().compile(optimizer, augmentation, **kwargs)

    def get_compile_config(self):
        return {**super().get_compile_config(), "weights": dict(self.weights_of_heads)} if self.compiled else {}

    def weight(self, head):
        return self.weights_of_heads[head]

    def answer(self, head, images, batch_size=64, verbose="auto"):
        """What one head has to say of pictures.

        Args:
            head: its name.
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            Of a `ClassificationHead` probabilities `(N, num_classes)`, of a `SegmentationHead` classes, uint8
            `(N, height, width)`, of a `ReconstructionHead` uint8 pictures.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for an unknown head, or pictures of another shape or range.
        """
        if head not in self.heads:
            raise ValueError(f"MultiTaskModel.answer: there is no head {head!r}; there are {sorted(self.heads)}.")
        return self.ask(head, images, "answer", batch_size, verbose)

    # === Config ===
    def get_config(self):
        heads = {name: keras.saving.serialize_keras_object(head) for name, head in self.heads.items()}
        return {**super().get_config(), "heads": heads}

    @classmethod
    def from_config(cls, config):
        heads = {name: keras.saving.deserialize_keras_object(head) for name, head in config["heads"].items()}
        return super().from_config({**config, "heads": heads})
