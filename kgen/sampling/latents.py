"""Seeds and latents: numbered, truncated, interpolated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from kgen.types import Array, Tensor


def seeds_and_indices(owner: str, seed: Any, count: int, images_each: int = 1) -> tuple[Array, Array]:
    """int32 seeds and indices of `count * images_each` images, from the `seed` argument of `generate`.

    One integer: images are numbered through under it. A sequence: each seed has images 0 .. images_each - 1 of its own.

    Raises:
        ValueError: for another number of seeds, or what is not an integer below 2**31.
    """
    total = count * images_each
    given = np.asarray(int(np.random.randint(2**31)) if seed is None else seed)
    whole = np.issubdtype(given.dtype, np.integer) or not given.size
    if given.ndim > 1 or not whole or (given >= 2**31).any() or (given <= -(2**31)).any():
        raise ValueError(f"{owner}.generate: a seed is an integer below 2**31; got {seed!r}.")
    if given.ndim == 0:
        seeds, indices = np.repeat(given, total), np.arange(total)
    elif len(given) == count:
        seeds, indices = np.repeat(given, images_each), np.tile(np.arange(images_each), count)
    else:
        raise ValueError(f"{owner}.generate: give one seed, or one each for the {count}; got {len(given)} seeds.")
    return seeds.astype("int32"), indices.astype("int32")


def truncation_inputs(owner: str, truncation: Any, count: int) -> dict[str, Array]:
    """What the graph of `generate` is given for its `truncation` argument, checked; nothing for None."""
    if truncation is None:
        return {}
    if not truncation > 0:
        raise ValueError(f"{owner}.generate: truncation must be positive, or None; got {truncation!r}.")
    return {"truncation": np.full(count, truncation, "float32")}


def truncated(latents: Tensor, limit: Tensor) -> Tensor:
    """Standard normal latents moved monotonically to where their distribution is cut off at -limit and limit."""
    share = ops.erf(latents / math.sqrt(2.0)) * ops.erf(limit / math.sqrt(2.0))
    return math.sqrt(2.0) * ops.erfinv(share)


def spherical(first: Array, second: Array, shares: Any) -> Array:
    """Points `(n, dim)` on the arc from one vector to another, at shares `(n,)` of its angle; lengths in between."""
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    angle = np.arccos(np.clip(first @ second / (lengths[0] * lengths[1]), -1.0, 1.0))
    shares = np.asarray(shares)[:, None]
    if np.sin(angle) < 1e-6:
        return (1.0 - shares) * first + shares * second
    directions = np.sin((1.0 - shares) * angle) * first / lengths[0] + np.sin(shares * angle) * second / lengths[1]
    return directions / np.sin(angle) * ((1.0 - shares) * lengths[0] + shares * lengths[1])
