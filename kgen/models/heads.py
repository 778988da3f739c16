"""Heads: what is predicted from a backbone's features, and how the prediction is learned."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from kgen import checks, losses, networks
from kgen.inputs import pixels
from kgen.inputs.batch_checks import check_numbers
from kgen.networks.interface import check_network, named_input, warn_of_ending
from kgen.portable import largest
from kgen.serializable import serializable
from kgen.training import network_copy
from kgen.types import Tensor


@serializable
class Head:
    """Base of the heads: layers on a backbone's features, a loss, and a metric for the logs.

    A subclass sets `reads`, the part of the backbone that it builds on, "vector" or "maps" (see
    `kgen.networks.backbone_encoder`); `terms`, what its loss is the sum of; and `targets`, what the answers are called
    that `fit` must be given, None for a head that needs none.

    Example:

    ```python
    class SmallLogits(kgen.models.ClassificationHead):
        def loss(self, targets, outputs):
            small = 0.01 * keras.ops.mean(keras.ops.square(outputs), axis=-1)
            return {"loss": super().loss(targets, outputs)["loss"] + small}
    ```
    """

    reads = "vector"
    terms: tuple[str, ...] = ("loss",)
    targets: str | None = None
    # Of answers that are numbers: what they are called, the lowest and the highest.
    limits: Any = None

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """The symbolic outputs, made of symbolic images and the dict of a backbone's parts."""
        raise NotImplementedError(f"{type(self).__name__} must define attach().")

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Dict from each of `terms` to a tensor `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """The `values` of `loss` where classes count as much as `class_weights` `(num_classes,)` says."""
        raise ValueError(f"{type(self).__name__}: class_weight has no meaning for this head; leave it out.")

    def numbered(self, owner: str, targets: Any) -> Any:
        """Answers as `fit` was given them, with numbers for names."""
        return targets

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError for answers that do not fit images of a shape `(N, height, width)`."""

    def prepare(self, targets: Tensor) -> Tensor:
        """Answers as the loss sees them."""
        return targets

    def answer(self, outputs: Tensor) -> Tensor:
        """What a user gets, of the outputs for a batch."""
        return outputs

    def metric(self) -> keras.metrics.Metric | None:
        """A metric for the logs, or None."""
        return None

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Updates the metric; `weight` `(batch,)` is how much each image counts, None for all alike."""


class _ClassHead(Head):
    """A head that chooses among classes."""

    # The lowest number of an answer.
    least = 0

    def __init__(self, num_classes=None, class_names=None):
        self.class_names = _names(type(self).__name__, num_classes, class_names)
        self.num_classes = len(self.class_names)

    @property
    def limits(self):
        """What the numbers are called, the lowest and the highest."""
        return self.targets, self.least, self.num_classes - 1

    def check_numbers(self, owner, numbers):
        """Raises ValueError unless all are integers within the limits."""
        name, least, most = self.limits
        check_numbers(owner, name, numbers, least, most)


@serializable
class ClassificationHead(_ClassHead):
    """The class of an image: a linear layer on the vector of features, and cross-entropy.

    Answers are integers `(N,)`, or names; -1 is an image whose class is not known, from which this head learns
    nothing. The logs name the share of right answers, `accuracy`.

    Args:
        num_classes: how many classes there are; or
        class_names: their names, in the order of the labels.
        dropout: share of the features that is left out in training, in [0, 1).
        label_smoothing: as in `kgen.losses.label_cross_entropy`.

    Raises:
        ValueError: if neither of the first two is given, they contradict each other, or there are fewer than two
            classes; for a number out of range.

    Example:

    ```python
    kgen.models.ClassificationHead(class_names=["cat", "dog"])
    ```
    """

    targets = "labels"
    least = -1

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Any = None,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
    ):
        super().__init__(num_classes, class_names)
        self.dropout = checks.number("ClassificationHead", "dropout", dropout, least=0, below=1)
        self.label_smoothing = checks.number("ClassificationHead", "label_smoothing", label_smoothing, least=0, below=1)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """Logits `(batch, num_classes)`."""
        x = layers.Dropout(self.dropout, name=f"{name}_dropout")(encoded["vector"])
        return layers.Dense(self.num_classes, dtype="float32", name=f"{name}_logits")(x)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, of smoothed labels."""
        return {"loss": losses.label_cross_entropy(targets, outputs, self.label_smoothing)}

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """Each image's loss times the weight of its class; mixed images have a mixed weight."""
        weight = ops.sum(targets * class_weights, axis=-1)
        return {name: weight * value for name, value in values.items()}

    def numbered(self, owner: str, targets: Any) -> Any:
        """Labels for names."""
        if not isinstance(targets, (list, tuple, np.ndarray)):
            return targets
        targets = np.asarray(targets)
        if targets.dtype.kind not in "USO":
            return targets
        numbers = {name: number for number, name in enumerate(self.class_names)}
        unknown = sorted({str(target) for target in targets.ravel()} - set(numbers))
        if unknown:
            raise ValueError(
                f"{owner}: there is no class {unknown[0]!r}; there are {', '.join(map(repr, self.class_names))}."
            )
        return np.array([numbers[str(target)] for target in targets.ravel()], "int32").reshape(targets.shape)

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError unless there is an integer in range for each image."""
        targets = ops.convert_to_numpy(targets)
        if targets.shape not in (shape[:1], (shape[0], 1)):
            raise ValueError(
                f"{owner}: labels must be {shape[0]} integers, one for each image; got shape {targets.shape}."
            )
        self.check_numbers(owner, targets)

    def prepare(self, targets: Tensor) -> Tensor:
        """One-hot, `(batch, num_classes)`; zeros where the class is not known."""
        return ops.one_hot(ops.reshape(ops.cast(targets, "int32"), (-1,)), self.num_classes, dtype="float32")

    def answer(self, outputs: Tensor) -> Tensor:
        """Probabilities `(batch, num_classes)`."""
        return ops.softmax(outputs, axis=-1)

    def metric(self) -> keras.metrics.Metric:
        """The share of right answers."""
        return keras.metrics.Mean(name="accuracy")

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Counts the images whose class is known."""
        weight = known(targets) if weight is None else known(targets) * weight
        metric.update_state(losses.label_accuracy(targets, outputs), sample_weight=weight)


def of_pixels(weight: Tensor, masks: Tensor) -> Tensor:
    """The weights of images `(batch,)` as those of their pixels, `(batch, height, width)`."""
    return weight[:, None, None] * ops.ones_like(ops.cast(masks, "float32"))


def known(targets: Tensor) -> Tensor:
    """1 for prepared labels, 0 where the class is not known: float32 `(batch,)`."""
    return ops.cast(ops.sum(targets, axis=-1) > 0.0, "float32")


@serializable
class SegmentationHead(_ClassHead):
    """The class of each pixel: a `kgen.networks.map_decoder` on the feature maps; cross-entropy and Dice loss.

    Answers are integers `(N, height, width)`. The logs name `cross_entropy`, `dice`, and `mean_iou`: the pixels that
    are of a class and are predicted as such, as a share of those that are either, averaged over the classes.

    Args:
        num_classes: how many classes there are, the background among them; or
        class_names: their names, in the order of the masks' numbers.
        filters: as in `kgen.networks.map_decoder`.
        dice_weight: of `kgen.losses.dice` beside `kgen.losses.pixel_cross_entropy`.

    Raises:
        ValueError: if neither of the first two is given, they contradict each other, or there are fewer than two
            classes; for a negative weight.

    Example:

    ```python
    kgen.models.SegmentationHead(class_names=["background", "road", "car"])
    ```
    """

    reads = "maps"
    terms = ("cross_entropy", "dice")
    targets = "masks"

    def __init__(
        self,
        num_classes: int | None = None,
        class_names: Any = None,
        filters: int = 16,
        dice_weight: float = 1.0,
    ):
        super().__init__(num_classes, class_names)
        if self.num_classes > 256:
            raise ValueError(f"SegmentationHead: there may be 256 classes, numbered in uint8; got {self.num_classes}.")
        self.filters = filters
        self.dice_weight = checks.number("SegmentationHead", "dice_weight", dice_weight, least=0)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """Logits `(batch, height, width, num_classes)`."""
        return networks.map_decoder(images, encoded["maps"], self.num_classes, self.filters, name=name)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Cross-entropy per pixel, and Dice."""
        return {
            "cross_entropy": losses.pixel_cross_entropy(targets, outputs),
            "dice": self.dice_weight * losses.dice(targets, outputs),
        }

    def class_weighted(
        self, values: dict[str, Tensor], targets: Tensor, outputs: Tensor, class_weights: Tensor
    ) -> dict[str, Tensor]:
        """Each pixel's cross-entropy times the weight of its class; Dice counts classes alike, as ever."""
        weights = ops.take(class_weights, targets, axis=0)
        return {**values, "cross_entropy": losses.pixel_cross_entropy(targets, outputs, weights)}

    def check(self, owner: str, targets: Any, shape: tuple) -> None:
        """Raises ValueError unless there is an integer in range for each pixel."""
        if tuple(targets.shape) != shape:
            raise ValueError(
                f"{owner}: masks must have shape {shape}, a number for each pixel; got {tuple(targets.shape)}."
            )
        self.check_numbers(owner, targets)

    def prepare(self, targets: Tensor) -> Tensor:
        """int32 `(batch, height, width)`."""
        return ops.cast(targets, "int32")

    def answer(self, outputs: Tensor) -> Tensor:
        """The most probable class of each pixel, uint8 `(batch, height, width)`."""
        return ops.cast(largest(outputs), "uint8")

    def metric(self) -> keras.metrics.Metric:
        """Mean intersection over union, over all pixels of all images."""
        # In float, or weights of images would be rounded.
        return keras.metrics.MeanIoU(self.num_classes, name="mean_iou", dtype="float32")

    def measure(
        self, metric: keras.metrics.Metric, targets: Tensor, outputs: Tensor, weight: Tensor | None = None
    ) -> None:
        """Counts pixels."""
        weight = None if weight is None else of_pixels(weight, targets)
        metric.update_state(targets, ops.argmax(outputs, axis=-1), sample_weight=weight)


@serializable
class ReconstructionHead(Head):
    """The image itself: a decoder behind the vector of features, which makes an autoencoder and needs no labels.

    Args:
        decoder: built `keras.Model` from latents `(batch, n)` to what `reconstruction` reads, as in `VAE`; it is
            copied. A dense layer makes the latents of the features.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. The loss is in nats per image, hundreds of them: give it a small weight beside others.

    Raises:
        TypeError, ValueError: if the decoder is not such a model.

    Example:

    ```python
    kgen.models.ReconstructionHead(kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64))
    ```
    """

    def __init__(self, decoder: keras.Model, reconstruction: Any = "auto"):
        check_network("ReconstructionHead", "decoder", decoder)
        latents = named_input("ReconstructionHead", decoder, "latents")
        if isinstance(decoder.output_shape, (dict, list)) or len(latents.shape) != 2:
            raise ValueError(
                "ReconstructionHead: the decoder must go from latents (batch, n) to images; "
                f"{decoder.name!r} goes from {tuple(latents.shape)} to {decoder.output_shape}."
            )
        self.decoder = network_copy(decoder)
        self.latent_dim = latents.shape[-1]
        self.reconstruction = losses.reconstruction_of(reconstruction)
        logits = isinstance(self.reconstruction, losses.Logistic)
        warn_of_ending("ReconstructionHead", "decoder", decoder, logits)

    def attach(self, images: Tensor, encoded: dict[str, Any], name: str) -> Tensor:
        """What the decoder makes of the features."""
        wanted = losses.decoded_shape(tuple(images.shape[1:]), self.reconstruction)
        if tuple(self.decoder.output_shape[1:]) != wanted:
            raise ValueError(
                f"ReconstructionHead: the decoder gives {tuple(self.decoder.output_shape[1:])}; "
                f"{type(self.reconstruction).__name__} needs {wanted} for images of {tuple(images.shape[1:])}."
            )
        outputs = self.decoder(layers.Dense(self.latent_dim, name=f"{name}_latents")(encoded["vector"]))
        return layers.Activation("linear", dtype="float32", name=f"{name}_outputs")(outputs)

    def loss(self, targets: Tensor, outputs: Tensor) -> dict[str, Tensor]:
        """Negative log-likelihood of the images."""
        return {"loss": self.reconstruction.loss(targets, outputs)}

    def answer(self, outputs: Tensor) -> Tensor:
        """uint8 images."""
        return pixels.to_uint8(self.reconstruction.mean(outputs))


def _names(owner, num_classes, class_names):
    """Names of the classes; their numbers, as strings, if they have none."""
    if num_classes is None and class_names is None:
        raise ValueError(f"{owner}: give num_classes or class_names.")
    if num_classes is not None:
        num_classes = checks.integer(owner, "num_classes", num_classes, least=2)
    if class_names is None:
        return [str(number) for number in range(num_classes)]
    names = [class_names] if isinstance(class_names, str) else [str(name) for name in class_names]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{owner}: class_names must be at least two different names; got {class_names!r}.")
    if num_classes not in (None, len(names)):
        raise ValueError(f"{owner}: class_names must be num_classes={num_classes} names; got {len(names)}.")
    return names
