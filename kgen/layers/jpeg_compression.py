"""A degradation that adds the artefacts of strong JPEG compression."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.layers.borders import in_whole_multiples
from kgen.layers.degradation import Degradation, Range, checked_range, drawn_between
from kgen.layers.resize import along_sides
from kgen.layers.seeded_layer import Seed
from kgen.serializable import serializable
from kgen.types import Tensor

# Quantisation tables for luma and chroma (ITU-T T.81, annex K.1), at quality 50.
_LUMA = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
_CHROMA = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""
_TABLES = [np.array(table.split(), "float32").reshape(8, 8) for table in (_LUMA, _CHROMA)]
# From red, green and blue to luma and two colour differences (ITU-R BT.601, as in JFIF).
_TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], "float32")
_FROM_YCC = np.linalg.inv(_TO_YCC).astype("float32")
_PLACES = np.arange(8)
# Rows are the cosines of the orthonormal DCT.
_DCT = np.cos(np.pi * (_PLACES + 0.5) * _PLACES[:, None] / 8) / 2
_DCT[0] /= np.sqrt(2)
_DCT = _DCT.astype("float32")


@serializable
class JpegCompression(Degradation):
    """Degrades images `(B, H, W, C)` in [0, 1] as JPEG does at low quality, with one quality for each image.

    Blocks of 8 x 8 pixels go through a cosine transform. The coefficients are rounded to multiples of steps, which come
    from the standard's example tables and the quality. Colour has half the resolution. Rounding has no gradient.

    Args:
        quality: from 1 to 100 as in libjpeg, a number or `(low, high)`.
        seed: as in `Degradation`.

    Raises:
        ValueError: if `quality` is out of range, or images do not have 1 or 3 channels.

    Example:
        ```python
        JpegCompression((20, 60), seed=0)(keras.random.uniform((2, 64, 64, 3))).shape  # (2, 64, 64, 3)
        ```
    """

    def __init__(self, quality: Range = (20.0, 80.0), seed: Seed = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.quality = checked_range("JpegCompression", "quality", quality, least=1.0, most=100.0)

    def parameters(self, batch: int | Tensor, shape: tuple, seed: keras.random.SeedGenerator) -> dict[str, Tensor]:
        return {"quality": drawn_between(self.quality, batch, seed)}

    def apply(self, images: Tensor, parameters: dict[str, Tensor]) -> Tensor:
        height, width, channels = images.shape[1:]
        if channels not in (1, 3):
            raise ValueError(f"JpegCompression: images must have 1 or 3 channels; got {channels}.")
        quality = parameters["quality"]
        scale = ops.where(quality < 50.0, 50.0 / quality, 2.0 - quality / 50.0)
        # Repeat the border until there are whole blocks, even at the halved resolution of colour.
        x = 255.0 * in_whole_multiples(images, 16)
        if channels == 1:
            x = _quantized(x - 128.0, _TABLES[0], scale) + 128.0
        else:
            x = ops.matmul(x, ops.convert_to_tensor(_TO_YCC.T))
            luma = _quantized(x[..., :1] - 128.0, _TABLES[0], scale) + 128.0
            halves = [_halving(side) for side in x.shape[1:3]]
            chroma = _quantized(along_sides(x[..., 1:], *halves), _TABLES[1], scale)
            chroma = along_sides(chroma, *(2.0 * matrix.T for matrix in halves))
            x = ops.matmul(ops.concatenate([luma, chroma], axis=-1), ops.convert_to_tensor(_FROM_YCC.T))
        return x[:, :height, :width] / 255.0


def _quantized(planes, table, scale):
    """Planes `(B, H, W, C)` with each block's coefficients rounded to multiples of the table times `(B, 1, 1, 1)`."""
    height, width, channels = planes.shape[1:]
    x = ops.reshape(planes, (-1, height // 8, 8, width // 8, 8, channels))
    x = ops.transpose(x, (0, 1, 3, 5, 2, 4))
    dct = ops.convert_to_tensor(_DCT)
    steps = ops.clip(ops.floor(ops.convert_to_tensor(table) * scale[:, 0] + 0.5), 1.0, 255.0)
    steps = ops.reshape(steps, (-1, 1, 1, 1, 8, 8))
    x = ops.matmul(ops.matmul(dct, x), ops.transpose(dct))
    x = ops.round(x / steps) * steps
    x = ops.matmul(ops.matmul(ops.transpose(dct), x), dct)
    return ops.reshape(ops.transpose(x, (0, 1, 4, 2, 5, 3)), (-1, height, width, channels))


def _halving(length):
    """The matrix `(length / 2, length)` that averages pairs of neighbours."""
    return np.repeat(np.eye(length // 2, dtype="float32"), 2, axis=1) / 2
