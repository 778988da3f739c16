"""Shows what latents mean: images as one or two of them change."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from PIL import Image

from kgen import checks
from kgen.models import GAN, VAE
from kgen.types import Array
from kgen.visualization.image_grid import image_grid


def latent_grid(
    model: GAN | VAE,
    axes: Sequence[int] = (0, 1),
    steps: int = 12,
    latents: Array | None = None,
    label: int | None = None,
    scale: int = 1,
) -> Image.Image:
    """A plane through the latents of a GAN or VAE: two of them change, the others stay fixed.

    The two run through the quantiles of the normal distribution, so every image represents an equal share of the prior
    [Kingma & Welling 2014, figure 4].

    Args:
        model: a kgen GAN or VAE.
        axes: indices of the two latents: the first changes downwards, the second to the right.
        steps: images per side, at least 2.
        latents: `(latent_dim,)`, values of the others; None: 0.
        label: label of all images, for a model with `num_classes`.
        scale: integer factor by which width and height are enlarged.

    Returns:
        A `PIL.Image` of `steps` x `steps` images.

    Raises:
        TypeError: if `model` is no GAN or VAE.
        ValueError: for axes that the model does not have, or a number out of range.

    Example:

    ```python
    kgen.visualization.latent_grid(vae, steps=15).save("plane.png")
    ```
    """
    _check("latent_grid", model, steps, axes, label)
    if len(axes) != 2:
        raise ValueError(f"latent_grid: axes must be two different latents; got {tuple(axes)}.")
    values = [NormalDist().inv_cdf((step + 0.5) / steps) for step in range(steps)]
    points = np.tile(_start("latent_grid", model, latents), (steps * steps, 1))
    points[:, axes[0]], points[:, axes[1]] = np.repeat(values, steps), np.tile(values, steps)
    return image_grid(_decoded(model, points, label), columns=steps, margin=0, scale=scale)


def latent_traversal(
    model: GAN | VAE,
    axes: int | Sequence[int] = 8,
    steps: int = 9,
    limit: float = 3.0,
    latents: Array | None = None,
    label: int | None = None,
    scale: int = 1,
) -> Image.Image:
    """Rows of images: in each row one latent goes from `-limit` to `limit`, and the others stay fixed.

    Args:
        model: a kgen GAN or VAE.
        axes: indices of the latents, one row each; or how many to take, from the first on. The latents that matter have
            varying means: `np.argsort(-vae.encode(images).var(axis=0))[:8]`.
        steps: images per row, at least 2.
        limit: how far a latent goes, in standard deviations of the prior.
        latents: `(latent_dim,)`, values of the others, such as `vae.encode(image[None])[0]`; None: 0.
        label: label of all images, for a model with `num_classes`.
        scale: integer factor by which width and height are enlarged.

    Returns:
        A `PIL.Image`.

    Raises:
        TypeError: if `model` is no GAN or VAE.
        ValueError: for axes that the model does not have, or a number out of range.

    Example:

    ```python
    kgen.visualization.latent_traversal(vae, latents=vae.encode(images[:1])[0]).save("traversal.png")
    ```
    """
    if isinstance(axes, (int, numbers.Integral)):
        axes = range(min(axes, getattr(model, "latent_dim", axes)))
    _check("latent_traversal", model, steps, axes, label)
    if not limit > 0:
        raise ValueError(f"latent_traversal: limit must be positive; got {limit!r}.")
    points = np.tile(_start("latent_traversal", model, latents), (len(axes), steps, 1))
    for row, axis in zip(points, axes):
        row[:, axis] = np.linspace(-limit, limit, steps)
    return image_grid(_decoded(model, points.reshape(len(axes) * steps, -1), label), columns=steps, scale=scale)


def _check(owner: str, model: Any, steps: int, axes: Sequence[int], label: int | None) -> None:
    if not isinstance(model, (GAN, VAE)):
        raise TypeError(f"{owner}: the model must be a kgen GAN or VAE; got {type(model).__name__}.")
    checks.integer(owner, "steps", steps, least=2)
    if not len(axes) or len(set(axes)) < len(axes) or not all(0 <= axis < model.latent_dim for axis in axes):
        raise ValueError(
            f"{owner}: axes must be different latents from 0 to {model.latent_dim - 1}; got {[int(a) for a in axes]}."
        )
    if (label is None) != (model.num_classes is None):
        raise ValueError(f"{owner}: models with num_classes need a label, and others take none.")


def _start(owner: str, model: GAN | VAE, latents: Array | None) -> Array:
    latents = np.zeros(model.latent_dim) if latents is None else np.asarray(latents, "float64")
    if latents.shape != (model.latent_dim,):
        raise ValueError(f"{owner}: latents must have shape ({model.latent_dim},); got {latents.shape}.")
    return latents


def _decoded(model: GAN | VAE, points: Array, label: int | None) -> Array:
    return model.decode(points, None if label is None else np.full(len(points), label), verbose=0)
