"""Both ends of a discriminator: its inputs, and what it says of its features."""

from __future__ import annotations

import keras
from keras import layers

from kgen.layers import SpectralNormalization


def discriminator_inputs(owner, image_shape, pooled_dim=None, num_classes=None):
    """The symbolic inputs of a discriminator.

    Args:
        owner: name that errors begin with.
        image_shape: `(height, width, channels)`.
        pooled_dim: length of a condition; None without one.
        num_classes: of an auxiliary classifier; None without one.

    Returns:
        A dict of `"images"`, and `"pooled"` with a condition.

    Raises:
        ValueError: for both a condition and a classifier, or a length below 1.
    """
    check_told_or_asked(owner, pooled_dim, num_classes)
    inputs = {"images": keras.Input(tuple(image_shape), name="images")}
    if pooled_dim is not None:
        inputs["pooled"] = keras.Input((pooled_dim,), name="pooled")
    return inputs


def check_told_or_asked(owner, pooled_dim, num_classes):
    """Refuses a discriminator that is told the class and asked for it, and lengths below 1."""
    if pooled_dim is not None and num_classes is not None:
        raise ValueError(
            f"{owner}: pooled_dim={pooled_dim} tells the discriminator what num_classes={num_classes} asks it. Give "
            "one of them."
        )
    for name, size in (("pooled_dim", pooled_dim), ("num_classes", num_classes)):
        if size is not None and size < 1:
            raise ValueError(f"{owner}: {name} must be at least 1, or None; got {size}.")


def discriminator_head(h, pooled=None, num_classes=None, spectral_normalization=False):
    """Logits from the features h of a discriminator: plain, of a projection, or beside a classifier's.

    Without further arguments a linear layer, w.h + b. With a condition y the projection of Miyato & Koyama (2018),
    "cGANs with Projection Discriminator",

        logit = w.h + b + <V y, h>

    whose first part asks whether a picture is real and whose second whether it fits y. With `num_classes` a second
    linear layer says which class it sees, the auxiliary classifier of Odena et al. (2017), "Conditional Image Synthesis
    with Auxiliary Classifier GANs". The features become a layer named `"features"`, so that they can be had by
    `keras.Model(discriminator.input, discriminator.get_layer("features").output)`.

    Args:
        h: symbolic tensor `(batch, F)`.
        pooled: symbolic tensor `(batch, P)` to project on, or None.
        num_classes: of the classifier, or None.
        spectral_normalization: keep the spectral norm of w, V and the classifier at 1.

    Returns:
        Float32 logits `(batch, 1)`; with `num_classes` the dict `{"logits": (batch, 1), "labels": (batch, classes)}`.
    """

    def dense(x, units, name, use_bias=True):
        # In float32 under mixed precision too: losses want all digits.
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


def single(inputs):
    """A dict of inputs, or the only one in it."""
    return inputs if len(inputs) > 1 else next(iter(inputs.values()))
