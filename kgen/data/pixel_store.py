"""Space for many images: in memory if they are few, else in a temporary file on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np

from kgen.types import Array

IN_MEMORY_LIMIT = 2**30  # bytes; any machine that can train on such a data set can hold it in memory


def pixel_store(shape: Sequence[int]) -> Array:
    """Makes an uninitialised uint8 array for images.

    Up to 1 GiB, the pixels are in memory. Above, they are in a temporary file without a name, which the operating
    system frees when the array is gone, however the process ends.

    Args:
        shape: `(N, H, W, C)`.

    Returns:
        A writable uint8 `np.ndarray`, or `np.memmap` for large shapes.
    """
    if np.prod(shape, dtype=np.int64) <= IN_MEMORY_LIMIT:
        return np.empty(shape, "uint8")
    with tempfile.TemporaryFile(prefix="kgen-") as file:  # the mapping keeps its own handle on the file
        return np.memmap(file, dtype="uint8", mode="w+", shape=tuple(shape))


def copy_rows(images: Array, rows: Array) -> Array:
    """Copies `images[rows]` into a new pixel store in pieces, so that a mapped file is never entirely in memory.

    Args:
        images: uint8 `(N, H, W, C)`, in memory or mapped.
        rows: 1-D integer array, with or without repeats.

    Returns:
        uint8 `(len(rows), H, W, C)`.
    """
    store = pixel_store((len(rows), *images.shape[1:]))
    for start in range(0, len(rows), 1024):
        store[start : start + 1024] = images[rows[start : start + 1024]]
    return store
