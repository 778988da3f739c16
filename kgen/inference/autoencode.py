"""Images of any size to latents and back: in tiles where they are large."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from kgen.progress import Progress
from kgen.sampling.tiles import Tiles
from kgen.types import Array, Verbose


def in_tiles(
    model: Any,
    function: Callable,
    images: Any,
    tiles: Tiles,
    finish: Callable[[Array], Array],
    at_once: int,
    verbose: Verbose,
) -> Array:
    """What a graph makes of images or latents, each in these tiles.

    Args:
        model: an `ImageModel`.
        function: a graph from `{"images": (n, h, w, c)}`, for its `in_batches`.
        images: `(N, H, W, c)`, an array or what can be sliced.
        tiles: of images of that size.
        finish: what is made of each part of the results.
        at_once: tiles computed at once.
        verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

    Returns:
        Array `(N, scale * H, scale * W, C)`.
    """
    count = len(images)
    if len(tiles.rows) == len(tiles.columns) == 1:
        height, width = (math.ceil(side * tiles.scale) for side in tiles.size)
        return finish(model.in_batches(function, {"images": images}, at_once, verbose))[:, :height, :width]
    progress = Progress(count * len(tiles.rows) * len(tiles.columns), "tile", verbose)

    def row(parts: dict[str, Array]) -> Array:
        results = model.in_batches(function, parts, at_once, verbose=0)
        progress.add(len(results))
        return results

    return np.stack([tiles.computed(row, {"images": images[i : i + 1][0]}, finish) for i in range(count)])


def encoding_tiles(owner: str, size: tuple[int, int], factor: int, tile: int, overlap: int) -> Tiles:
    """Tiles of images that are encoded to a grid `factor` times smaller."""
    return Tiles(size, tile, overlap, Fraction(1, factor), max(8, factor), owner)


def decoding_tiles(owner: str, size: tuple[int, int], factor: int, tile: int, overlap: int) -> Tiles:
    """Tiles of grids whose images are `factor` times larger; `tile` and `overlap` are in pixels of the images."""
    for name, value in (("tile", tile), ("overlap", overlap)):
        if value % factor:
            raise ValueError(f"{owner}: {name} must be a multiple of {factor} pixels; got {value}.")
    return Tiles(size, tile // factor, overlap // factor, factor, 1, owner)
