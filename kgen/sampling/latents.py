"""Seeds and latents: numbered, truncated, interpolated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from kgen.types import Array, Tensor


def seeds_and_indices(owner: str, seed: Any, count: int, images_each: int = 1) -> tuple[Array, Array]:
    """int32 seeds and indices of `count * images_each` images, from the `seed` argument of `generate`.

    With one integer, images are numbered from 0 under it. In a sequence, each seed has images 0 .. images_each - 1.

    Raises:
        ValueError: for a wrong number of seeds, or a seed that is not an integer below 2**31; errors begin with
            `owner`.
    """
    total = count * images_each
    try:
        given = np.asarray(int(np.random.randint(2**31)) if seed is None else seed)
    except ValueError:  # a nested list
        given = np.empty((0, 0))
    whole = np.issubdtype(given.dtype, np.integer) or not given.size
    if given.ndim > 1 or not whole or (given >= 2**31).any() or (given <= -(2**31)).any():
        raise ValueError(f"{owner}: a seed must be an integer below 2**31; got {seed!r}.")
    if given.ndim == 0:
        seeds, indices = np.repeat(given, total), np.arange(total)
    elif len(given) == count:
        seeds, indices = np.repeat(given, images_each), np.tile(np.arange(images_each), count)
    else:
        raise ValueError(f"{owner}: give one seed, or {count} seeds; got {len(given)} seeds.")
    return seeds.astype("int32"), indices.astype("int32")


def truncation_inputs(owner: str, truncation: Any, count: int) -> dict[str, Array]:
    """The input of the graph of `generate` for a checked `truncation`; an empty dict for None."""
    if truncation is None:
        return {}
    if not truncation > 0:
        raise ValueError(f"{owner}: truncation must be positive, or None; got {truncation!r}.")
    return {"truncation": np.full(count, truncation, "float32")}


def truncated(latents: Tensor, limit: Tensor) -> Tensor:
    """Maps standard normal latents monotonically to a normal distribution truncated at -limit and limit."""
    share = ops.erf(latents / math.sqrt(2.0)) * ops.erf(limit / math.sqrt(2.0))
    return math.sqrt(2.0) * ops.erfinv(share)


def spherical(first: Array, second: Array, shares: Any) -> Array:
    """Points `(n, dim)` on the arc between two vectors, at shares `(n,)` of the angle; lengths are interpolated."""
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    angle = np.arccos(np.clip(first @ second / (lengths[0] * lengths[1]), -1.0, 1.0))
    shares = np.asarray(shares)[:, None]
    if np.sin(angle) < 1e-6:
        return (1.0 - shares) * first + shares * second
    directions = np.sin((1.0 - shares) * angle) * first / lengths[0] + np.sin(shares * angle) * second / lengths[1]
    return directions / np.sin(angle) * ((1.0 - shares) * lengths[0] + shares * lengths[1])
