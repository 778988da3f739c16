"""Large images in overlapping tiles: joined without seams, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from kgen import checks
from kgen.types import Array

# Tiles start at multiples of this many pixels, so that networks which fold pixels into channels fold the same ones.
MULTIPLE = 8


def levels(images: Array) -> Array:
    """uint8 of images in [0, 1]."""
    return np.rint(255.0 * np.clip(images, 0.0, 1.0)).astype("uint8")


class Tiles:
    """Where the tiles of an image lie, and how much each counts.

    Neighbours overlap. In an overlap, the outer quarter of a tile has weight 0, because the network misses the pixels
    beyond it; then its weight grows linearly while the neighbour's falls.

    Args:
        size: `(height, width)` of the image.
        tile: side of a tile in pixels, a multiple of `multiple`; smaller images are one tile.
        overlap: overlap of neighbours in pixels, a multiple of `multiple` and at most half of a tile.
        scale: how many times larger the results are; a `fractions.Fraction` if they are smaller.
        multiple: tiles start at multiples of this many pixels.
        owner: method that errors name.

    Raises:
        ValueError: for a tile or an overlap that breaks these rules.

    Example:

    ```python
    tiles = Tiles((3000, 4000), tile=512, overlap=64)
    len(tiles.rows) * len(tiles.columns)        # 63
    result = tiles.computed(lambda row: row["images"] / 255.0, {"images": photo})      # uint8 (3000, 4000, 3)
    ```
    """

    def __init__(
        self,
        size: tuple[int, int],
        tile: int,
        overlap: int,
        scale: int | Fraction = 1,
        multiple: int = MULTIPLE,
        owner: str = "Tiles",
    ):
        for name, value in (("tile", tile), ("overlap", overlap)):
            if checks.integer(owner, name, value) % multiple:
                raise ValueError(f"{owner}: {name} must be a multiple of {multiple} pixels; got {value}.")
        checks.integer(owner, "overlap", overlap, most=tile // 2)
        self.size = tuple(size)
        self.scale = scale
        padded = [-(-side // multiple) * multiple for side in size]
        self.tile = tuple(min(tile, side) for side in padded)
        self.rows, self.columns = (_starts(side, tile, overlap, multiple) for side in padded)
        self.row_weights = _weights(self.rows, self.tile[0], overlap, scale)
        self.column_weights = _weights(self.columns, self.tile[1], overlap, scale)

    def computed(
        self,
        function: Callable[[dict[str, Array]], Array],
        arrays: dict[str, Array],
        finish: Callable[[Array], Array] = levels,
        out: Array | None = None,
    ) -> Array:
        """The results of all tiles, as one image.

        Args:
            function: from a dict of arrays `(n, *tile, c)`, the tiles of one row, to an array
                `(n, scale * height, scale * width, C)` in [0, 1].
            arrays: dict of arrays `(height, width, c)`.
            finish: function that converts each part of the result; by default `levels`.
            out: array for the result, which is written part by part; None: a new array.

        Returns:
            Array `(scale * height, scale * width, C)`, with the dtype of `finish`; for a scale below 1 sides are
            rounded up.
        """
        height, width = (math.ceil(side * self.scale) for side in self.size)
        result: Any = out
        carried: Any = None
        for i, top in enumerate(self.rows):
            band = self._band(function, arrays, top) * self.row_weights[i][:, None, None]
            # What the row of tiles above contributes to these pixels.
            if i:
                band[: len(carried)] += carried
            elif result is None:
                result = np.empty((height, width, band.shape[-1]), finish(band[:0]).dtype)
            done = int((self.rows[i + 1] - top if i + 1 < len(self.rows) else self.tile[0]) * self.scale)
            begin = int(top * self.scale)
            part = result[begin : begin + done]
            part[:] = finish(band[: len(part), :width])
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
        end = int(self.scale * (self.columns[-1] + wide))
        band = np.zeros((results.shape[1], end, results.shape[-1]), "float32")
        for left, weights, result in zip(self.columns, self.column_weights, results):
            begin = int(self.scale * left)
            band[:, begin : begin + result.shape[1]] += weights[:, None] * result
        return band


def _starts(length, tile, overlap, multiple):
    """Where tiles start, evenly spread; neighbours overlap by at least `overlap`."""
    if length <= tile:
        return [0]
    steps = math.ceil((length - tile) / (tile - overlap))
    return [i * ((length - tile) // multiple) // steps * multiple for i in range(steps + 1)]


def _weights(starts, tile, overlap, scale):
    """A row of weights for each tile; at every pixel the weights of all tiles sum to 1."""
    length, starts = int(tile * scale), [int(start * scale) for start in starts]
    places = (np.arange(length) + 0.5) / float(scale)
    weights = np.ones((len(starts), length))
    rising = np.clip((places - overlap / 4) / (overlap / 2), 0.0, 1.0)
    weights[1:] *= rising
    weights[:-1] *= rising[::-1]
    total = np.zeros(starts[-1] + length)
    for start, row in zip(starts, weights):
        total[start : start + length] += row
    return [(row / total[start : start + length]).astype("float32") for start, row in zip(starts, weights)]


def _cut(array, top, left, tall, wide):
    """A tile; beyond the image its border pixels are repeated."""
    part = array[top : top + tall, left : left + wide]
    missing = (tall - part.shape[0], wide - part.shape[1])
    return np.pad(part, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge") if any(missing) else part
