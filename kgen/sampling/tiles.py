"""Large images in overlapping tiles: the results are put together without seams, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.types import Array, Tensor

# Tiles begin at multiples of this many pixels, so that a network which folds pixels folds the same ones in each.
MULTIPLE = 8


class Tiles:
    """Where the tiles of an image lie, and how much each counts.

    Neighbours overlap. Of an overlap the outer quarter of a tile counts for nothing, as what lies beyond it is missing
    there; then its weight grows linearly while that of the neighbour falls.

    Args:
        size: `(height, width)` of the image.
        tile: side of a tile in pixels, a multiple of 8; smaller images are one tile.
        overlap: of neighbours in pixels, a multiple of 8 and at most half of a tile.
        scale: how many times larger the results are.
        owner: what errors begin with.

    Raises:
        ValueError: for another tile or overlap.

    Example:

    ```python
    tiles = Tiles((3000, 4000), tile=512, overlap=64)
    len(tiles.rows) * len(tiles.columns)        # 63
    result = tiles.computed(lambda row: row["images"] / 255.0, {"images": photo})      # uint8 (3000, 4000, 3)
    ```
    """

    def __init__(self, size: tuple[int, int], tile: int, overlap: int, scale: int = 1, owner: str = "restore"):
        for name, value in (("tile", tile), ("overlap", overlap)):
            if checks.integer(owner, name, value) % MULTIPLE:
                raise ValueError(f"{owner}: {name} must be a multiple of {MULTIPLE} pixels; got {value}.")
        checks.integer(owner, "overlap", overlap, most=tile // 2)
        self.size = tuple(size)
        self.scale = scale
        padded = [-(-side // MULTIPLE) * MULTIPLE for side in size]
        self.tile = tuple(min(tile, side) for side in padded)
        self.rows, self.columns = (_starts(side, tile, overlap) for side in padded)
        self.row_weights = _weights(self.rows, self.tile[0], overlap, scale)
        self.column_weights = _weights(self.columns, self.tile[1], overlap, scale)

    def computed(self, function: Callable[[dict[str, Array]], Array], arrays: dict[str, Array]) -> Array:
        """The results of all tiles, as one image.

        Args:
            function: from a dict of arrays `(n, *tile, c)`, the tiles of one row, to an array
                `(n, scale * height, scale * width, C)` in [0, 1].
            arrays: dict of arrays `(height, width, c)`.

        Returns:
            uint8 array `(scale * height, scale * width, C)`.
        """
        (height, width), scale = self.size, self.scale
        result: Any = None
        carried: Any = None
        for i, top in enumerate(self.rows):
            band = self._band(function, arrays, top) * self.row_weights[i][:, None, None]
            # What the rows of tiles above had to say of these pixels.
            if i:
                band[: len(carried)] += carried
            else:
                result = np.empty((scale * height, scale * width, band.shape[-1]), "uint8")
            done = (self.rows[i + 1] - top if i + 1 < len(self.rows) else self.tile[0]) * scale
            part = result[top * scale : top * scale + done]
            part[:] = np.rint(255.0 * np.clip(band[: len(part), : scale * width], 0.0, 1.0))
            carried = band[done:]
        return result

    def _band(self, function, arrays, top):
        """The results of one row of tiles, float32, weighted along the width."""
        tall, wide = self.tile
        tiles = {
            name: np.stack([_cut(array, top, left, tall, wide) for left in self.columns])
            for name, array in arrays.items()
        }
        results = function(tiles)
        scale = self.scale
        band = np.zeros((scale * tall, scale * (self.columns[-1] + wide), results.shape[-1]), "float32")
        for left, weights, result in zip(self.columns, self.column_weights, results):
            band[:, scale * left : scale * (left + wide)] += weights[:, None] * result
        return band


def _starts(length, tile, overlap):
    """Where tiles begin, spread evenly; neighbours overlap by `overlap` or more."""
    if length <= tile:
        return [0]
    steps = math.ceil((length - tile) / (tile - overlap))
    return [i * ((length - tile) // MULTIPLE) // steps * MULTIPLE for i in range(steps + 1)]


def _weights(starts, tile, overlap, scale):
    """A row of weights for each tile; at every pixel those of all tiles sum to 1."""
    places = (np.arange(tile * scale) + 0.5) / scale
    weights = np.ones((len(starts), tile * scale))
    rising = np.clip((places - overlap / 4) / (overlap / 2), 0.0, 1.0)
    weights[1:] *= rising
    weights[:-1] *= rising[::-1]
    total = np.zeros((starts[-1] + tile) * scale)
    for start, row in zip(starts, weights):
        total[start * scale : (start + tile) * scale] += row
    return [
        (row / total[start * scale : (start + tile) * scale]).astype("float32") for start, row in zip(starts, weights)
    ]


def _cut(array, top, left, tall, wide):
    """A tile; beyond the image its border is repeated."""
    part = array[top : top + tall, left : left + wide]
    missing = (tall - part.shape[0], wide - part.shape[1])
    return np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else part


def in_whole_multiples(images: Tensor, multiple: int = MULTIPLE) -> Tensor:
    """Images `(N, H, W, channels)` with the border repeated below and on the right, up to multiples of `multiple`."""
    height, width = ops.shape(images)[1:3]
    for axis, side in ((1, height), (2, width)):
        places = ops.arange(side + -side % multiple, dtype="int32")
        images = ops.take(images, ops.minimum(places, side - 1), axis=axis)
    return images
