"""Both ends of a discriminator: its inputs, and the logits that it gives from its features."""

from __future__ import annotations

import keras
from keras import layers

from kgen.checks import integer
from kgen.layers import SpectralNormalization
from kgen.types import ImageShape, Tensor


def discriminator_inputs(
    owner: str, image_shape: ImageShape, pooled_dim: int | None = None, num_classes: int | None = None
) -> dict[str, Tensor]:
    """The symbolic inputs of a discriminator.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        pooled_dim: length of a condition; None without one.
        num_classes: number of classes of an auxiliary classifier; None without one.

    Returns:
        A dict with `"images"`, and `"pooled"` if there is a condition.

    Raises:
        ValueError: if there are both a condition and a classifier, or a length is not an integer of at least 1.
    """
    check_told_or_asked(owner, pooled_dim, num_classes)
    inputs = {"images": keras.Input(tuple(image_shape), name="images")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")
    return inputs


def check_told_or_asked(owner: str, pooled_dim: int | None, num_classes: int | None) -> None:
    """Checks that a discriminator is not both told the class and asked for it, and that lengths are at least 1."""
    if pooled_dim is not None and num_classes is not None:
        raise ValueError(
            f"{owner}: pooled_dim={pooled_dim} tells the discriminator what num_classes={num_classes} asks it. Give "
            "one of them."
        )
    for name, size in (("pooled_dim", pooled_dim), ("num_classes", num_classes)):
        if size is not None:
            integer(owner, name, size)


def discriminator_head(
    h: Tensor, pooled: Tensor | None = None, num_classes: int | None = None, spectral_normalization: bool = False
) -> Tensor | dict[str, Tensor]:
    """Logits from the features h of a discriminator: linear, with a projection, or together with a classifier.

    Without further arguments a linear layer, w.h + b. With a condition y the projection of Miyato & Koyama (2018),
    "cGANs with Projection Discriminator",

        logit = w.h + b + <V y, h>

    whose first part asks whether an image is real, and whose second part asks whether it fits y. With `num_classes` a
    second linear layer predicts the class, the auxiliary classifier of Odena et al. (2017), "Conditional Image
    Synthesis with Auxiliary Classifier GANs". The features become a layer named `"features"`, so that
    `keras.Model(discriminator.input, discriminator.get_layer("features").output)` gives them.

    Args:
        h: symbolic tensor `(batch, F)`.
        pooled: symbolic tensor `(batch, P)` to project on, or None.
        num_classes: number of classes of the classifier, or None.
        spectral_normalization: keep the spectral norm of w, V and the classifier at 1.

    Returns:
        Float32 logits `(batch, 1)`; with `num_classes` the dict `{"logits": (batch, 1), "labels": (batch, classes)}`.
    """

    def dense(x: Tensor, units: int, name: str, use_bias: bool = True) -> Tensor:
        # In float32 under mixed precision too: losses need the precision.
        layer = layers.Dense(units, use_bias=use_bias, dtype="float32", name=name)
        return (SpectralNormalization(layer, dtype="float32", name=name) if spectral_normalization else layer)(x)

    h = layers.Activation("linear", name="features")(h)
    logits = dense(h, 1, "logits")
    if pooled is not None:
        direction = dense(pooled, h.shape[-1], "projection", use_bias=False)
        fit = layers.Dot(axes=1, dtype="float32", name="fit")([direction, h])
        logits = layers.Add(dtype="float32", name="conditional_logits")([logits, fit])
    if num_classes is not None:
        return {"logits": logits, "labels": dense(h, num_classes, "labels")}
    return logits


def single(inputs: dict[str, Tensor]) -> Tensor | dict[str, Tensor]:
    """A dict of inputs, or the only input in it."""
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))
