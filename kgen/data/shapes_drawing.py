"""How the coloured shapes look: their colours, their outlines, and antialiased drawing.

`captioned_shapes` draws with it and `read_shapes` compares with it, so the two agree on what a star is.
"""

from __future__ import annotations

import numpy as np

from kgen.types import Array

COLORS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 20),
    "yellow": (245, 220, 40),
    "green": (40, 160, 60),
    "blue": (40, 80, 220),
    "purple": (140, 50, 180),
    "pink": (255, 130, 190),
    "grey": (128, 128, 128),
}
BACKGROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "navy": (20, 30, 90)}
SIZES = {"small": 0.11, "large": 0.18}  # radius, as a share of the image's width
# Outer reach of each shape of radius 1, chosen so that shapes of one size cover similar areas.
REACH = {"circle": 1.0, "square": 0.89, "triangle": 1.25, "star": 1.22, "cross": 1.1, "ring": 1.12}
SHAPES = tuple(REACH)

_SUPERSAMPLE = 4  # 16 samples a pixel: 17 levels of coverage


def inside(shape: str, x: Array, y: Array) -> Array:
    """Which points are in a shape of radius 1 around the origin.

    Args:
        shape: one of `SHAPES`.
        x: array of coordinates, to the right.
        y: array of coordinates, downwards.

    Returns:
        Boolean array.
    """
    x, y = x / REACH[shape], y / REACH[shape]
    distance = np.hypot(x, y)
    if shape == "circle":
        return distance <= 1
    if shape == "ring":
        return (distance <= 1) & (distance >= 0.52)
    if shape == "square":
        return np.maximum(abs(x), abs(y)) <= 1
    if shape == "cross":
        return (np.minimum(abs(x), abs(y)) <= 0.34) & (np.maximum(abs(x), abs(y)) <= 1)
    corners, depth = (3, 0.5) if shape == "triangle" else (5, 0.45)
    # Fold the plane into the half sector between a tip (at angle 0) and the notch next to it (at pi / corners): there
    # the outline is the straight line from (1, 0) to the notch. A triangle's "notch" is the middle of its side.
    half = np.pi / corners
    angle = abs((np.arctan2(x, -y) + half) % (2 * half) - half)
    notch = depth * np.cos(half), depth * np.sin(half)
    along, across = distance * np.cos(angle), distance * np.sin(angle)
    return (notch[0] - 1) * across - notch[1] * (along - 1) >= 0


def coverage(shape: str, center: tuple[float, float], radius: float, image_size: int) -> Array:
    """How much of each pixel a shape covers.

    Args:
        shape: one of `SHAPES`.
        center: `(x, y)` in pixels; `(0, 0)` is the image's upper left corner.
        radius: in pixels; the shape reaches `REACH[shape] * radius` from its centre.
        image_size: height and width of the image in pixels.

    Returns:
        float32 `(image_size, image_size)` from 0 to 1.
    """
    mask = np.zeros((image_size, image_size), "float32")
    reach = radius * REACH[shape] * np.sqrt(2)
    (left, right), (top, bottom) = ((max(0, int(c - reach)), min(image_size, int(c + reach) + 2)) for c in center)
    if left >= right or top >= bottom:
        return mask
    x = (np.arange((right - left) * _SUPERSAMPLE) + 0.5) / _SUPERSAMPLE + left - center[0]
    y = (np.arange((bottom - top) * _SUPERSAMPLE) + 0.5) / _SUPERSAMPLE + top - center[1]
    samples = inside(shape, x[None, :] / radius, y[:, None] / radius)
    samples = samples.reshape(bottom - top, _SUPERSAMPLE, right - left, _SUPERSAMPLE)
    mask[top:bottom, left:right] = samples.mean((1, 3))
    return mask
