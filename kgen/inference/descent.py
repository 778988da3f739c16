"""Gradient descent on what goes into a network, each row by itself."""

from __future__ import annotations

import numpy as np


def descend(slope, points, steps, rate=0.1):
    """Adam [Kingma & Ba 2015], at a rate that falls to nothing along a cosine.

    Args:
        slope: function from points `(rows, dim)` and the number of the step, from 0, to gradients of their shape.
        points: where to begin.
        steps: how many.
        rate: to begin with.

    Returns:
        The last points.
    """
    mean, square = np.zeros_like(points), np.zeros_like(points)
    for step in range(steps):
        gradient = slope(points, step)
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        size = np.sqrt(square / (1.0 - 0.999 ** (step + 1))) + 1e-8
        falling = 0.5 * rate * (1.0 + np.cos(np.pi * step / steps))
        points = (points - falling * mean / (1.0 - 0.9 ** (step + 1)) / size).astype("float32")
    return points
