"""Classes of images from an auxiliary classifier, and probabilities with class names."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs import pixels
from kgen.networks.interface import outputs_of
from kgen.types import Array, ValueRange


def classifier_probabilities(
    model: Any, images: Any, batch_size: int, verbose: int | str, value_range: ValueRange = None
) -> Array:
    """Class probabilities of images from the auxiliary classifier of a discriminator, float32 `(N, num_classes)`.

    Raises:
        ValueError: if the model has no discriminator, or one without a classifier, whose outputs are
            `{"logits": (batch, 1), "labels": (batch, num_classes)}`.
    """
    owner, discriminator = f"{type(model).__name__}.classify", model.discriminator
    if discriminator is None:
        raise ValueError(f"{owner}: this model was built without a discriminator.")
    if "labels" not in outputs_of(discriminator):
        raise ValueError(
            f"{owner}: the discriminator has no classifier. It needs the outputs {{'logits': (batch, 1), 'labels': "
            f"(batch, num_classes)}}; it gives {sorted(outputs_of(discriminator))}."
        )

    def class_probabilities(inputs):
        labels = discriminator(model.space.encode(pixels.in_network_range(inputs["images"])), training=False)["labels"]
        return ops.softmax(ops.cast(labels, "float32"), axis=-1)

    checked = model.image_input.images(images, owner, value_range=value_range)
    return model.graphs.in_batches(class_probabilities, {"images": checked}, batch_size, verbose)


def named(owner: str, probabilities: Array, class_names: Any, top: int | None) -> Any:
    """Probabilities `(N, classes)` unchanged; with `top` the most probable classes of each row, by name.

    Args:
        owner: method that errors name.
        probabilities: float array.
        class_names: a name for each class; None: their numbers, as strings.
        top: how many classes to return for each row; None: the array.

    Returns:
        The array, or a list of N lists of `(name, probability)`, best first.

    Raises:
        ValueError: for a wrong number of names, or a `top` that is not from 1 to the number of classes.
    """
    classes = probabilities.shape[1]
    names = [str(number) for number in range(classes)] if class_names is None else list(class_names)
    if len(names) != classes:
        raise ValueError(f"{owner}: class_names must be {classes} names, one for each class; got {len(names)}.")
    if top is None:
        return probabilities
    top = checks.integer(owner, "top", top, most=classes)
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [[(names[k], float(row[k])) for k in best] for row, best in zip(probabilities, order)]
