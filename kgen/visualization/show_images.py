"""Images in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from kgen import checks
from kgen.types import Array
from kgen.visualization.figure import new_figure
from kgen.visualization.image_grid import as_many, check_captions, checked_images, image_grid, square_columns

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# In pixels: about how wide a grid is, how wide one image is at most, and how wide a readable caption is.
_GRID_WIDTH, _MOST_WIDTH, _CAPTION_WIDTH = 640, 256, 128
_DPI = 100


def show_images(images: Array, captions: Sequence[str] | str | None = None, columns: int | None = None) -> Figure:
    """A grid of images, or one image, that a notebook shows; small images are enlarged, pixel by pixel.

    Args:
        images: uint8 array `(N, height, width, channels)`, or `(height, width, channels)`, with 1 or 3 channels.
        captions: N strings to write below the images; a string for one image.
        columns: images per row; by default about as many as rows.

    Returns:
        A matplotlib `Figure`.

    Raises:
        TypeError: if `images` is not a uint8 array.
        ValueError: for any other shape, a wrong number of captions, or `columns` out of range.

    Example:

    ```python
    kgen.visualization.show_images(gan.generate(12, seed=0), columns=6)
    ```
    """
    images, captions = as_many(images, captions)
    images = checked_images(images, "show_images")
    check_captions(captions, len(images), "show_images")
    columns = square_columns(len(images)) if columns is None else checks.integer("show_images", "columns", columns)
    width = _GRID_WIDTH // min(columns, len(images))
    width = max(min(width, _MOST_WIDTH), 1 if captions is None else _CAPTION_WIDTH)
    grid = np.asarray(image_grid(images, captions, columns, scale=max(1, width // images.shape[2])))
    figure = new_figure(figsize=(grid.shape[1] / _DPI, grid.shape[0] / _DPI), dpi=_DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.imshow(grid, interpolation="nearest", aspect="auto")
    return figure
