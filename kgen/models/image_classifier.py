"""From a picture to the name of what is on it."""

from __future__ import annotations

import warnings

import keras
import numpy as np
from keras import ops

from kgen import losses, networks
from kgen.models.heads import ClassificationHead
from kgen.models.recognition_model import RecognitionModel


@keras.saving.register_keras_serializable(package="kgen")
class ImageClassifier(RecognitionModel):
    """A backbone and a linear layer that minimise the cross-entropy of labels: `fit(images, labels)`, `classify`.

    The backbone is any network that has looked at pictures before: a GAN's discriminator, a VAE's encoder, a network
    of `keras.applications` or KerasHub; or none, and all is learned from the labels (`from_image_shape`). With few
    labels first train with `frozen=True`; to fine-tune afterwards set `frozen` to False and compile with a small
    learning rate. The logs name `loss` and `accuracy`; in `evaluate` and validation of the averaged weights, which
    `classify` uses.

    Args:
        backbone: a functional `keras.Model` or a built `keras.Sequential` from pictures to features; it is copied. See
            `kgen.networks.backbone_encoder` for what is taken for the features.
        num_classes: how many classes there are; or
        class_names: their names, in the order of the labels. `fit` takes names as well as numbers.
        dropout: share of the features that is left out in training.
        image_shape: `(height, width, channels)` of the pictures; None: what the backbone takes. Others are resized
            for it, and grey ones repeated where it wants three channels.
        value_range: `(low, high)`: what the backbone expects in place of the darkest and the brightest. Networks of
            kgen have -1 and 1, EfficientNet of `keras.applications` has 0 and 255.
        frozen: True: only the linear layer learns; False: everything does; or the name of a layer of the backbone,
            which stays as it is with all before it.
        ema_momentum: of the average of the weights, in [0, 1).
        seed: integer or None; where training's random numbers begin.

    Raises:
        TypeError: if the backbone is no Keras model.
        ValueError: if its features cannot be found, or another argument is out of range.

    Example:

    ```python
    classifier = kgen.models.ImageClassifier(gan.discriminator_features, class_names=["cat", "dog"], frozen=True)
    classifier.compile()
    classifier.fit(images, labels, epochs=10)       # uint8, or float in [0, 1] or [-1, 1]; 0 and 1, or names
    classifier.classify(images[:2], top=1)          # [[("cat", 0.93)], [("dog", 0.88)]]
    ```
    """

    def __init__(
        self,
        backbone,
        num_classes=None,
        class_names=None,
        dropout=0.0,
        image_shape=None,
        value_range=(-1.0, 1.0),
        frozen=False,
        ema_momentum=0.999,
        seed=None,
        **kwargs,
    ):
        head = ClassificationHead(num_classes, class_names, dropout)
        super().__init__(backbone, {"labels": head}, image_shape, value_range, frozen, ema_momentum, seed, **kwargs)
        self.class_names = head.class_names
        self.num_classes = head.num_classes
        self.dropout = dropout
        self.teacher_logits = None

    @classmethod
    def from_image_shape(cls, image_shape, num_classes=None, class_names=None, size="small", **kwargs):
        """A classifier with a `kgen.networks.residual_encoder`, to be trained from nothing.

        Args:
            image_shape: `(height, width, channels)`.
            num_classes, class_names: as of `ImageClassifier`.
            size: "small", for a CPU, "medium" or "large".
            **kwargs: as of `ImageClassifier`.
        """
        sizes = {"small": 64, "medium": 128, "large": 256}
        if size not in sizes:
            raise ValueError(f"{cls.__name__}: size must be one of {', '.join(map(repr, sizes))}; got {size!r}.")
        backbone = networks.residual_encoder(image_shape, filters=sizes[size])
        return cls(backbone, num_classes, class_names, **kwargs)

    def compile(
        self,
        optimizer="auto",
        augmentation=None,
        label_smoothing=0.0,
        teacher=None,
        distillation_weight=0.5,
        temperature=4.0,
        **kwargs,
    ):
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            augmentation: image preprocessing layers of Keras for training steps, or one: `keras.layers.RandomFlip`,
                `RandAugment`, `MixUp`, `CutMix` and the like, which see pixels from 0 to 255, as they expect.
            label_smoothing: as of `kgen.losses.label_cross_entropy`.
            teacher: an `ImageClassifier`, or a `keras.Model` from images in [-1, 1] to logits, that knows more: this
                model is to answer as it does. It is not trained, and not saved with this model.
            distillation_weight: w in (1 - w) cross-entropy + w `kgen.losses.distillation`, in [0, 1].
            temperature: of the distillation.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: for an augmentation that is none, or a teacher that is no model.
            ValueError: for a number out of range, or a teacher of other pictures or classes.
        """
        if not 0.0 <= label_smoothing < 1.0:
            raise ValueError(f"ImageClassifier.compile: label_smoothing must be in [0, 1); got {label_smoothing!r}.")
        if not 0.0 <= distillation_weight <= 1.0 or not temperature > 0:
            raise ValueError(
                "ImageClassifier.compile: distillation_weight must be in [0, 1] and temperature positive; got "
                f"{distillation_weight!r} and {temperature!r}."
            )
        self.heads["labels"].label_smoothing = label_smoothing
        self.teacher_logits = None if teacher is None else self._asked(teacher)
        self.distillation_weight = distillation_weight
        self.temperature = temperature
        super().compile(optimizer, augmentation, **kwargs)

    def _asked(self, teacher):
        """A function from pictures to a teacher's logits: a plain one, so that Keras does not take it for a part."""
        if not isinstance(teacher, keras.Model):
            raise TypeError(f"ImageClassifier.compile: the teacher must be a keras.Model; got {teacher!r}.")
        network = teacher.average.network if isinstance(teacher, ImageClassifier) else teacher

        def logits(images):
            outputs = network(images, training=False)
            return ops.cast(outputs["labels"] if isinstance(outputs, dict) else outputs, "float32")

        takes = tuple(network.inputs[0].shape[1:])
        gives = logits(keras.KerasTensor((None, *self.image_shape))).shape if takes == self.image_shape else None
        if gives != (None, self.num_classes):
            raise ValueError(
                f"ImageClassifier.compile: the teacher must go from pictures {self.image_shape} to {self.num_classes} "
                f"logits; it takes {takes} and gives {network.output_shape}."
            )
        return logits

    def get_compile_config(self):
        if not self.compiled:
            return {}
        if self.teacher_logits is not None:
            warnings.warn(
                "The teacher is not saved with ImageClassifier: give it again, compile(model.optimizer, "
                "teacher=teacher), to train on with it.",
                stacklevel=2,
            )
        return {**super().get_compile_config(), "label_smoothing": self.heads["labels"].label_smoothing}

    @property
    def terms(self):
        """The loss alone, or its two parts where there is a teacher."""
        return ["loss"] if self.teacher_logits is None else ["cross_entropy", "distillation"]

    def losses_of(self, images, targets, outputs):
        """Cross-entropy of the labels, and of the teacher's answers."""
        parts = super().losses_of(images, targets, outputs)
        if self.teacher_logits is None:
            return parts
        taught = losses.distillation(self.teacher_logits(images), outputs["labels"], self.temperature)
        weight = self.distillation_weight
        return {"cross_entropy": (1.0 - weight) * parts["loss"], "distillation": weight * taught}

    # === Answers ===
    def classify(self, images, top=None, batch_size=64, verbose="auto"):
        """What is on pictures.

        Args:
            images: pictures `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            top: how many of the most probable names to give for each; None: the probabilities of all classes.
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            float32 array `(N, num_classes)`; with `top` a list of N lists of `(name, probability)`, best first.

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, or a `top` that is no number of classes.
        """
        if top is not None and (isinstance(top, bool) or not isinstance(top, int) or not 0 < top <= self.num_classes):
            raise ValueError(
                f"ImageClassifier.classify: top must be an integer from 1 to {self.num_classes}; got {top!r}."
            )
        probabilities = self.ask("labels", images, "classify", batch_size, verbose)
        if top is None:
            return probabilities
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        return [[(self.class_names[k], float(row[k])) for k in best] for row, best in zip(probabilities, order)]

    def call(self, images):
        """Logits `(N, num_classes)` of images in [-1, 1]."""
        return self.average(images)["labels"]

    def serve(self, images):
        """`{"probabilities": (N, num_classes), "names": (N,)}`, the names of the most probable."""
        import tensorflow as tf

        probabilities = super().serve(images)["labels"]
        names = tf.gather(tf.constant(self.class_names), tf.argmax(probabilities, axis=-1))
        return {"probabilities": probabilities, "names": names}

    # === Config ===
    def get_config(self):
        return {**super().get_config(), "class_names": self.class_names, "dropout": self.dropout}
