"""The texture of a style, laid over a photo in pieces: bright where the photo is bright."""

from __future__ import annotations

import math

import numpy as np

from kgen.types import Array

# Side of the largest pieces in pixels; they overlap by half, and are compared by the means of 4 x 4 cells.
_PIECE, _CELLS = 32, 4
# Pieces start every so many pixels of the style; further apart if there would be more than this number.
_STRIDE, _MOST = 4, 8192
# Costs of a piece besides its distance from the photo, whose deviation over pieces is 1: for not continuing its
# neighbour, and for having been used before, itself or a piece near it.
_COHERENCE, _WEAR = 0.6, 0.15


def style_texture(style: Array, content: Array) -> Array:
    """Pieces of a style, side by side, that follow the brightness of a content.

    Starting at the upper left, each place takes the piece of the style whose cells are most like the content's,
    relative to the brightness of both, which continues its neighbours, and which has been used little. [After Efros &
    Freeman 2001, "Image quilting for texture synthesis and transfer", with soft edges in place of cuts.]

    Args:
        style: uint8 `(h, w, channels)`, of at least 8 pixels a side.
        content: uint8 `(height, width, channels)`.

    Returns:
        uint8 `(height, width, channels)`.

    Example:

    ```python
    style_texture(kgen.data.textures(1)[0], photo).shape == photo.shape
    ```
    """
    piece = max(8, min(_PIECE, min(style.shape[:2]) // 16 * 8))
    cell, step = piece // _CELLS, piece // 2
    height, width = content.shape[:2]
    rows, columns = (-(-side // step) + 1 for side in (height, width))
    # Pieces extend over each border by half.
    rest = [(step, count * step + step - side - step) for count, side in ((rows, height), (columns, width))]
    wanted = _cells(np.pad(content.mean(axis=-1, dtype="float32"), rest, mode="edge"), cell, cell)
    wanted = _described(wanted, np.arange(rows) * 2, np.arange(columns) * 2, 1)
    stride = max(_STRIDE, math.ceil(math.sqrt(math.prod(style.shape[:2]) / _MOST)))
    tops, lefts = (np.arange(0, side - piece + 1, stride) for side in style.shape[:2])
    known = _described(_cells(style.mean(axis=-1, dtype="float32"), cell, 1), tops, lefts, cell)
    wanted = (wanted - wanted.mean()) / (wanted.std() + 1e-3) * known.std() + known.mean()
    places = np.stack(np.meshgrid(tops, lefts, indexing="ij"), axis=-1).reshape(-1, 2).astype("float32")
    chosen = places[_choice(wanted.reshape(rows, columns, -1), known, places, step)].astype(int)

    window = np.square(np.hanning(piece + 2)[1:-1]).astype("float32")
    window = (window[:, None] * window)[..., None]
    total = np.zeros((rows * step + step, columns * step + step, style.shape[-1]), "float32")
    weight = np.zeros((*total.shape[:2], 1), "float32")
    for row, column in np.ndindex(rows, columns):
        (y, x), place = chosen[row, column], np.s_[row * step :, column * step :]
        total[place][:piece, :piece] += window * style[y : y + piece, x : x + piece]
        weight[place][:piece, :piece] += window
    inside = np.s_[step : step + height, step : step + width]
    return np.rint(total[inside] / weight[inside]).astype("uint8")


def _choice(wanted, known, places, step):
    """The number of the piece for each place, `(rows, columns)`."""
    rows, columns = wanted.shape[:2]
    chosen = np.zeros((rows, columns), int)
    worn = np.zeros(len(known), "float32")
    lengths = np.square(known).sum(axis=1)
    for row, column in np.ndindex(rows, columns):
        if column == 0:
            distances = lengths - 2 * wanted[row] @ known.T
            distances /= distances.std(axis=1, keepdims=True) + 1e-6
        cost = distances[column] + worn
        neighbors = [((row, column - 1), (0, step))] * (column > 0) + [((row - 1, column), (step, 0))] * (row > 0)
        for neighbor, move in neighbors:
            cost += _COHERENCE * np.minimum(_apart(places, places[chosen[neighbor]] + move) / 12, 1.0)
        best = chosen[row, column] = cost.argmin()
        # Used pieces slowly recover.
        worn = 0.98 * worn + _WEAR * np.exp(-_apart(places, places[best]) / 8)
    return chosen


def _apart(places, place):
    return np.abs(places - np.asarray(place, "float32")).sum(axis=1)


def _cells(levels, side, stride):
    """Means of squares of side `side`, which start every `stride` pixels."""
    sums = np.pad(levels, ((1, 0), (1, 0))).cumsum(axis=0, dtype="float64").cumsum(axis=1)
    sums = sums[side:] - sums[:-side]
    return ((sums[:, side:] - sums[:, :-side]) / side**2)[::stride, ::stride].astype("float32")


def _described(cells, tops, lefts, step):
    """The 4 x 4 cells of pieces, `(pieces, 16)`."""
    moves = step * np.arange(_CELLS)
    found = [cells[np.ix_(tops + down, lefts + across)] for down in moves for across in moves]
    return np.stack(found, axis=-1).reshape(-1, _CELLS**2)
