"""Draws contents in styles: one or several of each, mixed styles, and the content's own colours."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.inference.style_texture import style_texture
from kgen.inputs import pixels
from kgen.progress import Progress
from kgen.sampling.tiles import MULTIPLE, Tiles
from kgen.types import Array, ValueRange, Verbose

# Shares of red, green and blue in perceived brightness: Y of YIQ.
_LUMINANCE = np.array([0.299, 0.587, 0.114], "float32")


def stylized_images(
    model: Any,
    content: Any,
    style: Any,
    strength: float,
    preserve_color: bool,
    weights: Sequence[float] | None,
    texture: float,
    batch_size: int,
    tile: int,
    overlap: int,
    verbose: Verbose,
    value_range: ValueRange = None,
) -> Array:
    """The result of `StyleTransfer.stylize`, which explains the arguments.

    Args:
        model: a `StyleTransfer`, with the graphs `statistics` and `restyled`, its `channels` and its `border`.
        content, style, strength, preserve_color, weights, texture, batch_size, tile, overlap, verbose, value_range: as
            in `StyleTransfer.stylize`.

    Returns:
        uint8 array.

    Raises:
        TypeError, ValueError: as in `StyleTransfer.stylize`.
    """
    owner = "StyleTransfer.stylize"
    styles = list(style) if isinstance(style, (list, tuple)) else [style]
    shares = _shares(weights, len(styles))
    for name, value in (("strength", strength), ("texture", texture)):
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{owner}: {name} must be from 0 to 1; got {value!r}.")
    single = all(len(getattr(each, "shape", ())) == 3 for each in (content, *styles))
    content = _checked(model, content, "content", value_range)
    styles = [_checked(model, each, "style", value_range) for each in styles]
    count = max(len(each) for each in (content, *styles))
    if any(len(each) not in (1, count) for each in (content, *styles)):
        raise ValueError(
            f"{owner}: give one style, or one for each content; got {len(content)} contents and "
            f"{' and '.join(str(len(each)) for each in styles)} styles."
        )
    if preserve_color and content.shape[-1] != 3:
        raise ValueError(f"{owner}: preserve_color needs images with 3 channels; got {content.shape[-1]}.")
    checks.integer(owner, "tile", tile, least=4 * model.border)
    tiles = Tiles(content.shape[1:3], tile, overlap, owner=owner)
    look = _grey if preserve_color else _floats
    if preserve_color:
        styles = [_like(_grey(each), _grey(content)) for each in styles]
    wanted = sum(
        share * _repeated(_statistics(model, each, _floats, tile, batch_size), count)
        for share, each in zip(shares, styles)
    )
    own = _repeated(_statistics(model, content, look, tile, batch_size), count)
    content = _repeated(content, count)
    inputs = {"images": content}
    if texture:
        styles = [_repeated(_levels(each), count) for each in styles]
        inputs["texture"] = np.stack([_texture(content[i : i + 1], styles, shares, i) for i in range(count)])
        texture_own = _statistics(model, inputs["texture"], _floats, tile, batch_size)
        mixture = np.stack([_mixture(look(content[i : i + 1]), inputs["texture"][i], texture) for i in range(count)])

    def drawn(parts: dict[str, Array], rows: slice, at_once: int, verbose: Verbose) -> Array:
        """These images, or tiles of one image, in their style, in [-1, 1]."""
        given = {**parts, "images": look(parts["images"]), "own": own[rows], "statistics": wanted[rows]}
        if texture:
            given |= {"texture_own": texture_own[rows], "mixture": mixture[rows]}
        given = {name: _repeated(each, len(parts["images"])) for name, each in given.items()}
        results = model.graphs.in_batches(model.restyled, given, at_once, verbose)
        images = _floats(parts["images"])
        if preserve_color:
            # Grey has no chroma in YIQ: adding the same to all three channels does not change the colours.
            results = images + _grey(results) - _grey(images)
        return images + strength * (np.clip(results, -1.0, 1.0) - images)

    if max(tiles.size) <= tile:
        levels = drawn(inputs, slice(None), batch_size, verbose)
        levels = _levels(levels)
        return levels[0] if single else levels
    progress = Progress(count * len(tiles.rows) * len(tiles.columns), "tile", verbose)

    def row(parts: dict[str, Array], i: int) -> Array:
        results = drawn(parts, slice(i, i + 1), 1, 0)
        progress.add(len(results))
        return 0.5 * results + 0.5

    images = [{name: each[i] for name, each in inputs.items()} for i in range(count)]
    levels = np.stack([tiles.computed(partial(row, i=i), each) for i, each in enumerate(images)])
    return levels[0] if single else levels


def _texture(content, styles, shares, i):
    """The mixed textures of all styles, for a batch of one content."""
    content = _levels(content)[0]
    mixed = sum(share * style_texture(style[i], content) for style, share in zip(styles, shares) if share)
    return np.rint(mixed).astype("uint8")


def _mixture(content, texture, amount):
    """Factors of a content and its texture, for a mix with as much deviation as either of them."""
    rest = np.sqrt(1.0 - amount**2)
    pair = np.stack([content.mean(axis=-1).ravel(), texture.mean(axis=-1).ravel()])
    pair = pair - pair.mean(axis=1, keepdims=True)
    # The texture follows the content's brightness, so the two are correlated and their sum deviates more.
    alike = np.mean(pair[0] * pair[1]) / (pair[0].std() * pair[1].std() + 1e-6)
    return np.float32([rest, amount]) / np.sqrt(1.0 + 2.0 * rest * amount * max(alike, 0.0)).astype("float32")


def _statistics(model, images, look, tile, batch_size):
    """Means and deviations of the maps of whole images, combined from those of their parts."""
    parts = itertools.product(*(_parts(side, tile, model.border) for side in images.shape[1:3]))
    shares, found = [], []
    for (share, rows), (other_share, columns) in parts:
        part = {"images": look(images[:, rows][:, :, columns])}
        shares.append(share * other_share)
        found.append(model.graphs.in_batches(model.statistics, part, batch_size, verbose=0))
    is_mean = np.concatenate([np.repeat([True, False], count) for count in model.channels])
    means, deviations = np.stack(found)[:, :, is_mean], np.stack(found)[:, :, ~is_mean]
    mean = np.tensordot(shares, means, 1)
    # Pooled exactly, and without a difference of squares, which would lose a small deviation beside a large mean.
    variance = np.tensordot(shares, deviations**2 + (means - mean) ** 2, 1)
    statistics = np.empty((len(images), len(is_mean)), "float32")
    statistics[:, is_mean], statistics[:, ~is_mean] = mean, np.sqrt(variance)
    return statistics


def _parts(side, tile, border):
    """For each part of a side, at most a tile long, its share of the side and its pixel numbers with both borders."""
    count = -(-side // tile)
    edges = [side * i // count // MULTIPLE * MULTIPLE for i in range(count)] + [side]
    for start, stop in itertools.pairwise(edges):
        places = np.arange(start - border, stop + border)
        places = np.where(places < 0, -1 - places, places)
        yield (stop - start) / side, np.where(places < side, places, 2 * side - 1 - places)


def _checked(model, images, what, value_range):
    """One or several images as `(N, height, width, channels)`, uint8 or float32 in [-1, 1]."""
    owner = f"StyleTransfer.stylize, {what}"
    if len(getattr(images, "shape", ())) == 3:
        images = images[None]
    checked = model.image_input.images(images, owner, value_range=value_range)
    least = model.border
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"{owner}: images must have sides of at least {least} pixels; got {images.shape[1]}x{images.shape[2]}."
        )
    return checked[:]


def _shares(weights, count):
    weights = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(weights) != count or min(weights, default=-1.0) < 0.0 or not sum(weights) > 0.0:
        raise ValueError(
            f"StyleTransfer.stylize: weights must be {count} numbers of at least 0, one per style, and not all 0; got "
            f"{weights}."
        )
    return [weight / sum(weights) for weight in weights]


def _repeated(rows, count):
    return rows if len(rows) == count else np.broadcast_to(rows, (count, *rows.shape[1:]))


def _floats(images):
    """Images in [-1, 1], float32."""
    return ops.convert_to_numpy(pixels.in_network_range(images))


def _levels(images):
    """Images as uint8."""
    return ops.convert_to_numpy(pixels.to_uint8(pixels.in_network_range(images)))


def _grey(images):
    """Luminance of images, in [-1, 1] and the same in all three channels."""
    return np.repeat((_floats(images) @ _LUMINANCE)[..., None], 3, axis=-1)


def _like(images, others):
    """Grey images with the mean and the deviation of other images, row by row."""
    mean, deviation = images.mean(axis=(1, 2, 3), keepdims=True), images.std(axis=(1, 2, 3), keepdims=True)
    factor = others.std(axis=(1, 2, 3), keepdims=True) / np.maximum(deviation, 1e-3)
    return (images - mean) * factor + others.mean(axis=(1, 2, 3), keepdims=True)
