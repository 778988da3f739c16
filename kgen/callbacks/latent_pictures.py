"""What latents mean, to look at: pictures as one of them, or two, change."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from kgen.callbacks.picture_grid import picture_grid
from kgen.models import GenerativeModel


def latent_grid(model, axes=(0, 1), steps=12, latents=None, label=None, scale=1):
    """A plane through the latents of a GAN or VAE: two of them change, the others stay.

    The two go through the quantiles of the normal distribution, so that each picture stands for as much of the prior
    as any other [Kingma & Welling 2014, figure 4].

    Args:
        model: a `GenerativeModel`.
        axes: numbers of the two latents: the first changes downwards, the second to the right.
        steps: pictures a side, at least 2.
        latents: `(latent_dim,)`, where the others are; None: at 0.
        label: of all pictures, for a model with `num_classes`.
        scale: whole number: every pixel of a picture becomes a square of so many.

    Returns:
        A `PIL.Image` of `steps` x `steps` pictures.

    Raises:
        TypeError: if `model` is no `GenerativeModel`.
        ValueError: for axes that the model does not have, or a number out of range.

    Example:

    ```python
    kgen.callbacks.latent_grid(vae, steps=15).save("plane.png")
    ```
    """
    _check("latent_grid", model, steps, axes, label)
    if len(axes) != 2:
        raise ValueError(f"latent_grid: axes must be two different latents; got {tuple(axes)}.")
    values = [NormalDist().inv_cdf((step + 0.5) / steps) for step in range(steps)]
    points = np.tile(_start("latent_grid", model, latents), (steps * steps, 1))
    points[:, axes[0]], points[:, axes[1]] = np.repeat(values, steps), np.tile(values, steps)
    return picture_grid(_decoded(model, points, label), columns=steps, margin=0, scale=scale)


def latent_traversal(model, axes=8, steps=9, limit=3.0, latents=None, label=None, scale=1):
    """Rows of pictures in each of which one latent goes from `-limit` to `limit`, and the others stay.

    Args:
        model: a `GenerativeModel`.
        axes: numbers of the latents, a row each; or how many of them: the first ones. Those that tell pictures apart
            have means that vary: `np.argsort(-vae.encode(images).var(axis=0))[:8]`.
        steps: pictures in a row, at least 2.
        limit: how far a latent goes, in deviations of the prior.
        latents: `(latent_dim,)`, where the others are, such as `vae.encode(image[None])[0]`; None: at 0.
        label: of all pictures, for a model with `num_classes`.
        scale: whole number: every pixel of a picture becomes a square of so many.

    Returns:
        A `PIL.Image`.

    Raises:
        TypeError: if `model` is no `GenerativeModel`.
        ValueError: for axes that the model does not have, or a number out of range.

    Example:

    ```python
    kgen.callbacks.latent_traversal(vae, latents=vae.encode(images[:1])[0]).save("traversal.png")
    ```
    """
    if isinstance(axes, int):
        axes = range(min(axes, getattr(model, "latent_dim", axes)))
    _check("latent_traversal", model, steps, axes, label)
    if not limit > 0:
        raise ValueError(f"latent_traversal: limit must be positive; got {limit!r}.")
    points = np.tile(_start("latent_traversal", model, latents), (len(axes), steps, 1))
    for row, axis in zip(points, axes):
        row[:, axis] = np.linspace(-limit, limit, steps)
    return picture_grid(_decoded(model, points.reshape(len(axes) * steps, -1), label), columns=steps, scale=scale)


def _check(owner, model, steps, axes, label):
    if not isinstance(model, GenerativeModel):
        raise TypeError(f"{owner}: the model must be a kgen GAN or VAE; got {type(model).__name__}.")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 2:
        raise ValueError(f"{owner}: steps must be an integer of at least 2; got {steps!r}.")
    if not len(axes) or len(set(axes)) < len(axes) or not all(0 <= axis < model.latent_dim for axis in axes):
        raise ValueError(
            f"{owner}: axes must be different latents from 0 to {model.latent_dim - 1}; got {[int(a) for a in axes]}."
        )
    if (label is None) != (model.num_classes is None):
        raise ValueError(f"{owner}: a label is for models with num_classes, and they need one.")


def _start(owner, model, latents):
    latents = np.zeros(model.latent_dim) if latents is None else np.asarray(latents, "float64")
    if latents.shape != (model.latent_dim,):
        raise ValueError(f"{owner}: latents must have shape ({model.latent_dim},); got {latents.shape}.")
    return latents


def _decoded(model, points, label):
    return model.decode(points, None if label is None else np.full(len(points), label), verbose=0)
