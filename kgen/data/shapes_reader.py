"""Reads the attributes of `captioned_shapes` from an image, to measure how well it matches a text."""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import Any

import numpy as np

from kgen.data.shapes_drawing import BACKGROUNDS, COLORS, SHAPES, SIZES, coverage
from kgen.types import Array

_MOST_OBJECTS = 6  # more than any caption asks for; keeps an image full of specks cheap to read
_COLOR_TOLERANCE = 70.0  # grey levels; half the distance between the closest colours, so that a pixel can match none
_LEAST_OVERLAP = 0.6  # intersection over union; below it, a blob is none of the shapes
_RADII = (0.7 * SIZES["small"], np.sqrt(SIZES["small"] * SIZES["large"]), 1.35 * SIZES["large"])


def read_shapes(image: Array) -> dict[str, Any]:
    """Reads the background and the objects in an image of coloured shapes; tolerates blur and noise.

    Each pixel is a mixture of the background and the one palette colour that fits best. Connected pixels with more
    than half of that colour are an object; its shape is the drawn template with the greatest overlap.

    Args:
        image: `(H, H, 3)`, uint8 or float in [0, 1] or [-1, 1] (recognised by its negative values).

    Returns:
        A dict: `"background"` (name, or None if no colour is close), `"count"`, `"relation"` of the first object to the
        second if there are exactly two, and `"objects"` in reading order, each a dict of `"color"`, `"shape"`, `"size"`
        (None where nothing fits), `"center"` (x, y from 0 to 1), `"radius"` (share of the width), `"overlap"` (0 to 1).

    Raises:
        ValueError: the image has another shape or range.

    Example:
        >>> data = captioned_shapes(1)
        >>> attributes_match(data.attributes[0], read_shapes(data.images[0]))["count"]
        True
    """
    pixels = _reduced(_grey_levels(image))
    side = len(pixels)
    border = np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])
    background = np.median(border, axis=0)
    labels, shares, errors = _explain(pixels, background)
    foreground = shares > 0.5
    objects = []
    for blob in _blobs(foreground, labels, least=_least_area(side)):
        objects.append(_object(blob, foreground, pixels, background, labels[blob], errors[blob]))
    objects = sorted(objects, key=lambda thing: -thing["radius"])[:_MOST_OBJECTS]
    objects.sort(key=lambda thing: (round(3 * thing["center"][1]), thing["center"][0]))
    return {
        "background": _nearest(background, BACKGROUNDS),
        "count": len(objects),
        "relation": _relation(*objects) if len(objects) == 2 else None,
        "objects": objects,
    }


def attributes_match(expected: dict[str, Any], read: dict[str, Any]) -> dict[str, bool]:
    """Whether an image shows what its caption asks for, attribute by attribute.

    The objects found are matched to the expected ones in the way that agrees best. An attribute is right if it is right
    for every expected object; `all(result.values())` is true if everything is.

    Args:
        expected: attributes from `captioned_shapes`.
        read: the result of `read_shapes`.

    Returns:
        A dict of bool: `"background"`, `"count"`, `"color"`, `"shape"`, `"size"` and, where expected, `"relation"`.
    """
    things = [thing for thing in expected["objects"] for _ in range(thing["count"])]
    found = read["objects"] + [None] * max(0, len(things) - len(read["objects"]))
    best: dict[str, bool] = {}
    for chosen in permutations(found, len(things)):
        match = {
            key: all(
                other is not None and thing[key] == other[key] for thing, other in zip(things, chosen, strict=True)
            )
            for key in ("color", "shape", "size")
        }
        if expected["relation"]:
            match["relation"] = None not in chosen and _relation(*chosen) == expected["relation"]
        if not best or sum(match.values()) > sum(best.values()):
            best = match
    return {
        "background": read["background"] == expected["background"],
        "count": read["count"] == len(things),
        **best,
    }


def _grey_levels(image):
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[0] != image.shape[1] or image.shape[2] != 3 or len(image) < 16:
        raise ValueError(f"read_shapes: image must have the shape (H, H, 3) with H at least 16; got {image.shape}.")
    if image.dtype == np.uint8:
        return image.astype("float32")
    least, most = float(image.min()), float(image.max())
    if not (-1.001 <= least and most <= 1.001):
        raise ValueError(
            f"read_shapes: image must be uint8, or float in [0, 1] or [-1, 1]; "
            f"got {image.dtype} from {least} to {most}."
        )
    return (image.astype("float32") + 1) * 127.5 if least < 0 else image.astype("float32") * 255


def _reduced(pixels):
    """Block means down to 32 to 63 pixels a side: enough to tell shapes apart, with less noise and in less time."""
    factor = max(1, len(pixels) // 32)
    side = len(pixels) // factor
    return pixels[: side * factor, : side * factor].reshape(side, factor, side, factor, 3).mean((1, 3))


def _explain(pixels, background):
    """For each pixel: the index of its colour, that colour's share (0: all background), and the remaining error."""
    names = list(COLORS)
    directions = np.array([COLORS[name] for name in names], "float32") - background
    lengths = (directions**2).sum(1)
    offsets = pixels - background
    shares = np.clip(offsets @ directions.T / np.maximum(lengths, 1), 0, 1)
    errors = np.linalg.norm(offsets[..., None, :] - shares[..., None] * directions, axis=-1)
    errors = np.where(lengths < _COLOR_TOLERANCE**2, np.inf, errors)  # the background's own colour explains nothing
    labels = errors.argmin(-1)
    pick = lambda values: np.take_along_axis(values, labels[..., None], -1)[..., 0]  # noqa: E731
    return labels, pick(shares), pick(errors)


def _blobs(foreground, labels, least):
    """Boolean masks of connected regions, split where two colours touch."""
    for blob in _components(foreground, least):
        counts = np.bincount(labels[blob], minlength=len(COLORS))
        rivals = np.flatnonzero(counts >= max(least, 0.25 * counts.sum()))
        if len(rivals) < 2:
            yield blob
        else:
            for label in rivals:
                yield from _components(blob & (labels == label), least)


def _components(mask, least):
    """Connected components (with diagonals) of at least `least` pixels."""
    # Every pixel has a number and takes its neighbours' highest, until each component has one number.
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(numbers, 1)
        rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
        spread = np.where(mask, np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]), 0)
        if (spread == numbers).all():
            break
        numbers = spread
    values, counts = np.unique(numbers[mask], return_counts=True)
    return [numbers == value for value, count in zip(values, counts, strict=True) if count >= least]


def _object(blob, foreground, pixels, background, labels, errors):
    side = len(blob)
    label = np.bincount(labels, minlength=len(COLORS)).argmax()
    name = list(COLORS)[label]
    # The soft outline: how much of this colour each pixel holds, in the blob and the pixel around it.
    direction = np.array(COLORS[name], "float32") - background
    share = np.clip((pixels - background) @ direction / (direction**2).sum(), 0, 1)
    padded = np.pad(blob, 1)
    near = np.any([padded[y : y + side, x : x + side] for y in range(3) for x in range(3)], axis=0)
    share = np.where(near & (blob | ~foreground) & (share > 0.2), share, 0)

    y, x = np.indices(share.shape) + 0.5
    area = share.sum()
    center = (share * x).sum() / area, (share * y).sum() / area
    overlaps = {}
    for shape in SHAPES:
        radius = np.sqrt(area / _unit_area(shape))
        template = coverage(shape, center, radius, side)
        overlaps[shape] = np.minimum(share, template).sum() / np.maximum(share, template).sum(), radius / side
    shape = max(overlaps, key=overlaps.get)
    overlap, radius = overlaps[shape]
    return {
        "color": name if np.median(errors) < _COLOR_TOLERANCE else None,
        "shape": shape if overlap >= _LEAST_OVERLAP else None,
        "size": {1: "small", 2: "large"}.get(int(np.searchsorted(_RADII, radius))),
        "center": (float(center[0] / side), float(center[1] / side)),
        "radius": float(radius),
        "overlap": float(overlap),
    }


@cache
def _unit_area(shape):
    return float(coverage(shape, (128, 128), 64, 256).sum()) / 64**2


def _least_area(side):
    return 0.35 * min(map(_unit_area, SHAPES)) * (SIZES["small"] * side) ** 2


def _relation(first, second):
    x = first["center"][0] - second["center"][0]
    y = first["center"][1] - second["center"][1]
    if abs(x) > abs(y):
        return "right of" if x > 0 else "left of"
    return "below" if y > 0 else "above"


def _nearest(color, palette):
    distances = {name: np.linalg.norm(color - np.array(value)) for name, value in palette.items()}
    name = min(distances, key=distances.get)
    return name if distances[name] < _COLOR_TOLERANCE else None
