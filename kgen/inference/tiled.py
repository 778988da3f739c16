"""Computes large images in tiles."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kgen.progress import Progress
from kgen.sampling.tiles import Tiles
from kgen.types import Array, Verbose


def in_tiles(
    model: Any,
    function: Callable,
    arrays: dict[str, Any],
    tiles: Tiles,
    finish: Callable[[Array], Array],
    at_once: int,
    verbose: Verbose,
    out: Array | None = None,
) -> Array:
    """Applies a graph to images, or to grids of latents, tile by tile.

    Args:
        model: an `ImageModel`.
        function: a graph from a dict of `(n, h, w, c)` tensors, for the model's `graphs`.
        arrays: dict of `(N, H, W, c)`: arrays, or objects that can be sliced.
        tiles: the tiles of images of that size.
        finish: function that converts each part of the results, for example to uint8.
        at_once: tiles computed at once.
        verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
        out: array for the results; None: a new array.

    Returns:
        Array `(N, scale * H, scale * W, C)`.
    """
    count = len(next(iter(arrays.values())))
    if len(tiles.rows) == len(tiles.columns) == 1:
        height, width = (math.ceil(side * tiles.scale) for side in tiles.size)
        results = finish(model.graphs.in_batches(function, arrays, at_once, verbose))[:, :height, :width]
        if out is None:
            return results
        out[:] = results
        return out
    progress = Progress(count * len(tiles.rows) * len(tiles.columns), "tile", verbose)

    def row(parts: dict[str, Array]) -> Array:
        results = model.graphs.in_batches(function, parts, at_once, verbose=0)
        progress.add(len(results))
        return results

    images = ({name: rows[i : i + 1][0] for name, rows in arrays.items()} for i in range(count))
    if out is None:
        return np.stack([tiles.computed(row, image, finish) for image in images])
    for image, place in zip(images, out):
        tiles.computed(row, image, finish, place)
    return out
