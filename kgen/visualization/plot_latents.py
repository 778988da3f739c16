"""Latents in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kgen.types import Array
from kgen.visualization.figure import new_figure
from kgen.visualization.image_grid import checked_images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# How many labels colours can tell apart; with more, numbers get a colour scale.
_MOST_CLASSES = 20
_INCHES, _DPI = 6.0, 100
# How wide an image is drawn, in pixels of the figure.
_IMAGE_WIDTH = 36


def plot_latents(latents: Array, labels: Sequence | Array | None = None, images: Array | None = None) -> Figure:
    """Plots latents, or other features, as points in the plane, to show which ones lie close together.

    With more than two dimensions, it shows the first two principal components.

    Args:
        latents: `(N, ...)`, N at least 2, such as `vae.encode(images)`; axes after the first are flattened.
        labels: N integers or strings for colours and a legend; or N numbers, for a colour scale.
        images: uint8 array `(N, height, width, channels)`: as many as fit are drawn at their points.

    Returns:
        A matplotlib `Figure`; a notebook shows it.

    Raises:
        TypeError: if `images` is not a uint8 array.
        ValueError: for any other shape, latents that are not finite numbers, a wrong number of labels or images, or
            more than 20 different strings.

    Example:

    ```python
    kgen.visualization.plot_latents(vae.encode(images[:500]), labels[:500], images[:500]).savefig("latents.png")
    ```
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    points, names = _plane(latents)
    if images is not None and len(checked_images(images, "plot_latents")) != len(points):
        raise ValueError(f"plot_latents: give an image for each of the {len(points)} latents; got {len(images)}.")
    # The legend or colour scale goes on the right.
    figure = new_figure(figsize=(_INCHES + (labels is not None), _INCHES), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    # Both axes have the same scale, so that distances look right.
    axes.set_aspect("equal")
    middle, half = (points.max(axis=0) + points.min(axis=0)) / 2.0, 0.55 * np.ptp(points, axis=0).max() or 1.0
    axes.set(xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half))
    axes.set_xlabel(names[0])
    axes.set_ylabel(names[1])
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    colors = _scatter(figure, axes, points, labels)
    axes.set_axisbelow(True)
    # Computes the layout: the ticks depend on the size of the axes, and the room for their numbers on the ticks.
    figure.draw_without_rendering()
    if images is not None:
        places = axes.transData.transform(points)
        zoom = _IMAGE_WIDTH / images.shape[2] * 72.0 / _DPI
        for i in _with_room(places, _IMAGE_WIDTH * np.array([1.0, images.shape[1] / images.shape[2]])):
            image = np.broadcast_to(images[i], (*images.shape[1:3], 3))
            frame = {"edgecolor": colors[i], "linewidth": 2.0}
            axes.add_artist(AnnotationBbox(OffsetImage(image, zoom=zoom), points[i], pad=0.0, bboxprops=frame))
    return figure


def _plane(latents: Any) -> tuple[np.ndarray, tuple[str, str]]:
    """`(N, 2)` points, and the labels of their axes."""
    try:
        rows = np.asarray(latents, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"plot_latents: latents must be an array of numbers (N, ...); {error}.") from error
    if rows.ndim < 2 or len(rows) < 2 or rows[0].size < 2:
        raise ValueError(
            f"plot_latents: latents must have shape (N, ...), with at least 2 rows of 2 numbers; got {rows.shape}."
        )
    if not np.isfinite(rows).all():
        raise ValueError("plot_latents: latents must be finite; some are NaN or infinite.")
    rows = rows.reshape(len(rows), -1)
    if rows.shape[1] == 2:
        return rows, ("latent 0", "latent 1")
    rows = rows - rows.mean(axis=0)
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    # The sign of a component is arbitrary: its largest number is made positive, so that plots are reproducible.
    signs = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    shares = sizes[:2] ** 2 / max(np.sum(sizes**2), np.finfo("float64").tiny)
    first, second = (f"principal component {i + 1}, {share:.0%} of the variance" for i, share in enumerate(shares))
    return left[:, :2] * sizes[:2] * signs, (first, second)


def _scatter(figure: Figure, axes: Any, points: np.ndarray, labels: Any) -> list:
    """Draws points in the colours of their labels, with a legend or a colour scale; returns the colours."""
    size = float(np.clip(4000.0 / len(points), 6.0, 36.0))
    if labels is None:
        axes.scatter(*points.T, s=size, color="C0", alpha=0.7, linewidths=0)
        return ["C0"] * len(points)
    given = np.asarray(labels)
    if given.shape != (len(points),):
        raise ValueError(f"plot_latents: give a label for each of the {len(points)} latents; got shape {given.shape}.")
    kinds, codes = np.unique(given, return_inverse=True)
    if given.dtype.kind == "f" or (given.dtype.kind in "iu" and len(kinds) > _MOST_CLASSES):
        drawn = axes.scatter(*points.T, s=size, c=given, cmap="viridis", alpha=0.7, linewidths=0)
        figure.colorbar(drawn, ax=axes, shrink=0.8)
        return list(drawn.to_rgba(given))
    if len(kinds) > _MOST_CLASSES:
        raise ValueError(
            f"plot_latents: labels have {len(kinds)} different values, but there are only {_MOST_CLASSES} colours. "
            "Merge some."
        )
    from matplotlib import colormaps

    palette = colormaps["tab10" if len(kinds) <= 10 else "tab20"]
    for code, kind in enumerate(kinds):
        axes.scatter(*points[codes == code].T, s=size, color=palette(code), alpha=0.7, linewidths=0, label=str(kind))
    figure.legend(loc="outside right upper", frameon=False, markerscale=max(1.0, 5.0 / size**0.5))
    return [palette(code) for code in codes]


def _with_room(places: np.ndarray, size: np.ndarray) -> list[int]:
    """Indices of the points, from the first on, whose images of this size do not overlap an earlier choice."""
    chosen: list[int] = []
    for i, place in enumerate(places):
        if not (np.abs(places[chosen] - place) < size + 4.0).all(axis=1).any():
            chosen.append(i)
    return chosen
