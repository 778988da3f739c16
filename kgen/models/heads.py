"""Questions about pictures: what is answered from a backbone's features, and how the answer is learned."""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from kgen import losses, networks
from kgen.losses.configurable import Configurable
from kgen.models import pixels
from kgen.models.generative_model import check_network, named_input
from kgen.models.vae import decoded_shape, reconstruction_of
from kgen.training import network_copy


class Head(Configurable):
    """Base of the questions: layers on a backbone's features, a loss, and a measure for the logs.

    A subclass says by `reads` which of the backbone's parts it builds on, "vector" or "maps" (see
    `kgen.networks.backbone_encoder`), by `terms` what its loss is the sum of, and by `targets` whether it must be told
    the answers.

    Example:

    ```python
    isinstance(kgen.models.ClassificationHead(10), kgen.models.Head)     # True
    ```
    """

    reads = "vector"
    terms = ("loss",)
    targets = None

    def attach(self, images, encoded, name):
        """The symbolic answers, made of symbolic pictures and the dict of a backbone's parts."""
        raise NotImplementedError(f"{type(self).__name__} must define attach().")

    def loss(self, targets, outputs):
        """Dict from each of `terms` to a tensor `(batch,)`."""
        raise NotImplementedError(f"{type(self).__name__} must define loss().")

    def numbered(self, owner, targets):
        """Answers as they come in, with numbers for names."""
        return targets

    def check(self, owner, targets, shape):
        """Raises for answers that do not fit pictures of a shape `(N, height, width)`."""

    def prepare(self, targets):
        """Answers as the loss sees them."""
        return targets

    def answer(self, outputs):
        """What a user gets to see, of the outputs for a batch."""
        return outputs

    def metric(self):
        """A `keras.metrics.Metric` for the logs, or None."""
        return None

    def measure(self, metric, targets, outputs):
        """Updates the metric."""


class _ClassHead(Head):
    """What asks for one of several classes."""

    def __init__(self, num_classes=None, class_names=None):
        name = type(self).__name__
        self.class_names = _names(name, num_classes, class_names)
        self.num_classes = len(self.class_names)

    def check_numbers(self, owner, numbers, least=0):
        """Raises unless all are integers from `least` to the last class."""
        if not np.issubdtype(numbers.dtype, np.integer):
            raise ValueError(f"{owner}: {self.targets} must be integers; got {numbers.dtype}.")
        if numbers.size and (numbers.min() < least or numbers.max() >= self.num_classes):
            raise ValueError(
                f"{owner}: {self.targets} must be in {least} .. {self.num_classes - 1}; got {numbers.min()} to "
                f"{numbers.max()}."
            )

    def get_config(self):
        """The constructor's arguments."""
        return {"class_names": self.class_names}


@keras.saving.register_keras_serializable(package="kgen")
class ClassificationHead(_ClassHead):
    """Which class is the picture of? A linear layer on the vector of features, and cross-entropy.

    Answers are integers `(N,)`, or names; -1 is a picture whose class is not known, which teaches this head nothing.
    The logs name the share of right answers, `accuracy`.

    Args:
        num_classes: how many classes there are; or
        class_names: their names, in the order of the labels.
        dropout: share of the features that is left out in training, in [0, 1).
        label_smoothing: as of `kgen.losses.label_cross_entropy`.

    Raises:
        ValueError: if neither or both of the first two are given, or they do not make at least two classes.

    Example:

    ```python
    kgen.models.ClassificationHead(class_names=["cat", "dog"])
    ```
    """

    targets = "labels"

    def __init__(self, num_classes=None, class_names=None, dropout=0.0, label_smoothing=0.0):
        super().__init__(num_classes, class_names)
        for name, value in (("dropout", dropout), ("label_smoothing", label_smoothing)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"ClassificationHead: {name} must be in [0, 1); got {value!r}.")
        self.dropout = dropout
        self.label_smoothing = label_smoothing

    def attach(self, images, encoded, name):
        """Logits `(batch, num_classes)`."""
        x = layers.Dropout(self.dropout, name=f"{name}_dropout")(encoded["vector"])
        return layers.Dense(self.num_classes, dtype="float32", name=f"{name}_logits")(x)

    def loss(self, targets, outputs):
        """Cross-entropy, of smoothed labels."""
        return {"loss": losses.label_cross_entropy(targets, outputs, self.label_smoothing)}

    def numbered(self, owner, targets):
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

    def check(self, owner, targets, shape):
        """Raises unless there is an integer in range for each picture."""
        targets = ops.convert_to_numpy(targets)
        if targets.shape != shape[:1]:
            raise ValueError(f"{owner}: labels must be {shape[0]} integers, one a picture; got shape {targets.shape}.")
        self.check_numbers(owner, targets, least=-1)

    def prepare(self, targets):
        """One-hot, `(batch, num_classes)`; zeros where the class is not known."""
        return ops.one_hot(ops.cast(targets, "int32"), self.num_classes, dtype="float32")

    def answer(self, outputs):
        """Probabilities `(batch, num_classes)`."""
        return ops.softmax(outputs, axis=-1)

    def metric(self):
        """The share of right answers."""
        return keras.metrics.Mean(name="accuracy")

    def measure(self, metric, targets, outputs):
        """Counts the pictures whose class is known."""
        known = ops.cast(ops.sum(targets, axis=-1) > 0.0, "float32")
        metric.update_state(losses.label_accuracy(targets, outputs), sample_weight=known)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "dropout": self.dropout, "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="kgen")
class SegmentationHead(_ClassHead):
    """Which class is each pixel of? A `kgen.networks.map_decoder` on the feature maps; cross-entropy and Dice loss.

    Answers are integers `(N, height, width)`. The logs name `cross_entropy`, `dice`, and `mean_iou`: of each class the
    pixels that are rightly seen as its, as a share of those that are its or are seen as its, and the mean of that over
    the classes.

    Args:
        num_classes: how many classes there are, the background among them; or
        class_names: their names, in the order of the masks' numbers.
        filters: as of `kgen.networks.map_decoder`.
        dice_weight: of `kgen.losses.dice` beside `kgen.losses.pixel_cross_entropy`.

    Raises:
        ValueError: if neither or both of the first two are given, or they do not make at least two classes; for a
            negative weight.

    Example:

    ```python
    kgen.models.SegmentationHead(class_names=["background", "road", "car"])
    ```
    """

    reads = "maps"
    terms = ("cross_entropy", "dice")
    targets = "masks"

    def __init__(self, num_classes=None, class_names=None, filters=16, dice_weight=1.0):
        super().__init__(num_classes, class_names)
        if self.num_classes > 256:
            raise ValueError(f"SegmentationHead: there may be 256 classes, numbered in uint8; got {self.num_classes}.")
        if not dice_weight >= 0:
            raise ValueError(f"SegmentationHead: dice_weight must not be negative; got {dice_weight!r}.")
        self.filters = filters
        self.dice_weight = dice_weight

    def attach(self, images, encoded, name):
        """Logits `(batch, height, width, num_classes)`."""
        return networks.map_decoder(images, encoded["maps"], self.num_classes, self.filters, name=name)

    def loss(self, targets, outputs):
        """Cross-entropy a pixel, and Dice."""
        return {
            "cross_entropy": losses.pixel_cross_entropy(targets, outputs),
            "dice": self.dice_weight * losses.dice(targets, outputs),
        }

    def check(self, owner, targets, shape):
        """Raises unless there is an integer in range for each pixel."""
        if tuple(targets.shape) != shape:
            raise ValueError(f"{owner}: masks must have shape {shape}, a number a pixel; got {tuple(targets.shape)}.")
        self.check_numbers(owner, ops.convert_to_numpy(targets))

    def prepare(self, targets):
        """int32 `(batch, height, width)`."""
        return ops.cast(targets, "int32")

    def answer(self, outputs):
        """The most probable class of each pixel, uint8 `(batch, height, width)`."""
        return ops.cast(ops.argmax(outputs, axis=-1), "uint8")

    def metric(self):
        """Mean intersection over union, over all pixels of all pictures."""
        return keras.metrics.MeanIoU(self.num_classes, name="mean_iou")

    def measure(self, metric, targets, outputs):
        """Counts pixels."""
        metric.update_state(targets, ops.argmax(outputs, axis=-1))

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "filters": self.filters, "dice_weight": self.dice_weight}


@keras.saving.register_keras_serializable(package="kgen")
class ReconstructionHead(Head):
    """What does the picture look like? A decoder behind the vector of features: an autoencoder, which needs no labels.

    Args:
        decoder: built `keras.Model` from latents `(batch, n)` to what `reconstruction` reads, as of `VAE`; it is
            copied. A dense layer makes the latents of the features.
        reconstruction: what the decoder's outputs mean: a `kgen.losses.Reconstruction` or its short name; "auto" is
            `Gaussian(0.5)`. The loss is in nats a picture, hundreds of them: give it a small weight beside others.

    Raises:
        TypeError, ValueError: if the decoder is no such model.

    Example:

    ```python
    kgen.models.ReconstructionHead(kgen.networks.dcgan_generator((28, 28, 1), latent_dim=64))
    ```
    """

    def __init__(self, decoder, reconstruction="auto"):
        check_network("ReconstructionHead", "decoder", decoder)
        latents = named_input("ReconstructionHead", decoder, "latents")
        if isinstance(decoder.output_shape, (dict, list)) or len(latents.shape) != 2:
            raise ValueError(
                "ReconstructionHead: the decoder must go from latents (batch, n) to pictures; "
                f"{decoder.name!r} goes from {tuple(latents.shape)} to {decoder.output_shape}."
            )
        self.decoder = network_copy(decoder)
        self.latent_dim = latents.shape[-1]
        self.reconstruction = reconstruction_of(reconstruction)

    def attach(self, images, encoded, name):
        """What the decoder makes of the features."""
        wanted = decoded_shape(tuple(images.shape[1:]), self.reconstruction)
        if tuple(self.decoder.output_shape[1:]) != wanted:
            raise ValueError(
                f"ReconstructionHead: the decoder gives {tuple(self.decoder.output_shape[1:])}; "
                f"{type(self.reconstruction).__name__} needs {wanted} for pictures of {tuple(images.shape[1:])}."
            )
        outputs = self.decoder(layers.Dense(self.latent_dim, name=f"{name}_latents")(encoded["vector"]))
        return layers.Activation("linear", dtype="float32", name=f"{name}_outputs")(outputs)

    def loss(self, targets, outputs):
        """Negative log-likelihood of the pictures."""
        return {"loss": self.reconstruction.loss(targets, outputs)}

    def answer(self, outputs):
        """uint8 pictures."""
        return pixels.to_uint8(self.reconstruction.mean(outputs))

    def get_config(self):
        """The constructor's arguments, serialized."""
        return {
            "decoder": keras.saving.serialize_keras_object(self.decoder),
            "reconstruction": keras.saving.serialize_keras_object(self.reconstruction),
        }

    @classmethod
    def from_config(cls, config):
        """The head with these arguments."""
        return cls(**{key: keras.saving.deserialize_keras_object(value) for key, value in config.items()})


def _names(owner, num_classes, class_names):
    if (num_classes is None) == (class_names is None):
        raise ValueError(f"{owner}: give either num_classes or class_names; got {num_classes!r} and {class_names!r}.")
    if class_names is None:
        if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 2:
            raise ValueError(f"{owner}: num_classes must be an integer above 1; got {num_classes!r}.")
        return [str(number) for number in range(num_classes)]
    names = [class_names] if isinstance(class_names, str) else [str(name) for name in class_names]
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"{owner}: class_names must be at least two different names; got {class_names!r}.")
    return names
