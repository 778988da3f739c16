"""From one prompt's features and latents to another's, step by step."""

from __future__ import annotations

import numpy as np

from kgen.sampling.latents import spherical
from kgen.types import Array


def walk_inputs(features: dict[str, Array], latents: Array, steps: int, on_sphere: bool) -> dict[str, Array]:
    """The inputs of a text-to-image model's `draw` for a walk through prompts.

    Latents rotate at constant speed, so their length stays typical: spherical interpolation [White 2016, "Sampling
    generative networks"]. So do pooled features of length 1. Token features are interpolated linearly, position by
    position. Where one text has no token, the mean of its tokens replaces it, so that words come and go gradually; at
    the prompts themselves the mask is their own.

    Args:
        features: features of N texts, from `TextEncoder.encode`.
        latents: float array `(N, latent_dim)`.
        steps: rows from one text to the next.
        on_sphere: whether pooled features have length 1.

    Returns:
        Dict of arrays `((N - 1) * steps + 1, ...)`: `pooled`, `tokens`, `mask`, `latents`.
    """
    legs = []
    for i in range(len(latents) - 1):
        is_last = i == len(latents) - 2
        first, second = (
            {"latents": latents[j], **{name: values[j] for name, values in features.items()}} for j in (i, i + 1)
        )
        legs.append(_leg(first, second, np.arange(steps + is_last, dtype="float32") / steps, on_sphere))
    return {name: np.concatenate([leg[name] for leg in legs]) for name in legs[0]}


def _leg(first, second, shares, on_sphere):
    mask = np.repeat((first["mask"] | second["mask"])[None], len(shares), axis=0)
    mask[shares == 0], mask[shares == 1] = first["mask"], second["mask"]
    turn_pooled = spherical if on_sphere else _straight
    tokens = _straight(_filled(first), _filled(second), shares)
    return {
        "pooled": turn_pooled(first["pooled"], second["pooled"], shares).astype("float32"),
        "tokens": (tokens * mask[..., None]).astype("float32"),
        "mask": mask,
        "latents": spherical(first["latents"], second["latents"], shares).astype("float32"),
    }


def _straight(first, second, shares):
    shares = shares.reshape(-1, *[1] * first.ndim)
    return (1.0 - shares) * first + shares * second


def _filled(text):
    """Tokens `(T, D)` with the mean of the real ones in place of the others."""
    return np.where(text["mask"][:, None], text["tokens"], text["tokens"][text["mask"]].mean(axis=0))
