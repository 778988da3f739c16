"""Contents in styles: one or several of each, mixed styles, and colours that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kgen.inputs import pixels
from kgen.types import Array, ValueRange, Verbose

# What of red, green and blue the eye takes for brightness: Y of YIQ.
_LUMINANCE = np.array([0.299, 0.587, 0.114], "float32")


def stylized_images(
    model: Any,
    content: Any,
    style: Any,
    strength: float,
    preserve_color: bool,
    weights: Sequence[float] | None,
    batch_size: int,
    verbose: Verbose,
    value_range: ValueRange = None,
) -> Array:
    """What `StyleTransfer.stylize` gives, which explains the arguments.

    Args:
        model: gives `style_statistics` and `restyled`, two graphs, and its `factor`, a `StyleTransfer`.
        content, style, strength, preserve_color, weights, batch_size, verbose, value_range: as in
            `StyleTransfer.stylize`.

    Returns:
        uint8 array.

    Raises:
        TypeError, ValueError: as in `StyleTransfer.stylize`.
    """
    styles = list(style) if isinstance(style, (list, tuple)) else [style]
    shares = _shares(weights, len(styles))
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"StyleTransfer.stylize: strength must be from 0 to 1; got {strength!r}.")
    single = all(len(getattr(each, "shape", ())) == 3 for each in (content, *styles))
    content = _checked(model, content, "content", value_range)
    styles = [_checked(model, each, "style", value_range) for each in styles]
    count = max(len(each) for each in (content, *styles))
    if any(len(each) not in (1, count) for each in (content, *styles)):
        raise ValueError(
            f"StyleTransfer.stylize: give one style, or one for each content; got {len(content)} contents and "
            f"{' and '.join(str(len(each)) for each in styles)} styles."
        )
    if preserve_color:
        if content.shape[-1] != 3:
            raise ValueError(f"StyleTransfer.stylize: preserve_color is for colours; got {content.shape[-1]} channel.")
        content = _floats(content)
        colored, content = _repeated(content, count), _grey(content)
        styles = [_like(_grey(_floats(each)), content) for each in styles]
    statistics = sum(
        share * _repeated(model.in_batches(model.style_statistics, {"images": each}, batch_size, 0), count)
        for share, each in zip(shares, styles)
    )
    inputs = {
        "images": _repeated(content, count),
        "statistics": statistics,
        "strength": np.full((count,), strength, "float32"),
    }
    drawn = model.in_batches(model.restyled, inputs, batch_size, verbose)
    if preserve_color:
        # Grey has no chroma in YIQ: what is added to all three channels leaves the colours as they are.
        drawn = colored + _grey(drawn)[..., :1] - _grey(colored)[..., :1]
    drawn = ops.convert_to_numpy(pixels.to_uint8(drawn))
    return drawn[0] if single else drawn


def _checked(model, images, what, value_range):
    """Images `(N, height, width, channels)`, uint8 or float32 in [-1, 1], of one or of several."""
    owner = f"StyleTransfer.stylize, {what}"
    if len(getattr(images, "shape", ())) == 3:
        images = images[None]
    checked = model.image_input.images(images, owner, value_range=value_range)
    least = 4 * model.factor
    if min(images.shape[1:3]) < least:
        raise ValueError(
            f"{owner}: images must have sides of at least {least} pixels; got {images.shape[1]}x{images.shape[2]}."
        )
    return checked[:]


def _shares(weights, count):
    weights = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(weights) != count or min(weights, default=-1.0) < 0.0 or not sum(weights) > 0.0:
        raise ValueError(
            f"StyleTransfer.stylize: weights must be {count} numbers of at least 0, one a style, and not all 0; got "
            f"{weights}."
        )
    return [weight / sum(weights) for weight in weights]


def _repeated(rows, count):
    return rows if len(rows) == count else np.broadcast_to(rows, (count, *rows.shape[1:]))


def _floats(images):
    """Images in [-1, 1], float32."""
    return ops.convert_to_numpy(pixels.in_network_range(images))


def _grey(images):
    """Luminance of images, the same in all three channels."""
    return np.repeat((images @ _LUMINANCE)[..., None], 3, axis=-1)


def _like(images, others):
    """Grey images with the mean and the deviation of others, row by row."""
    mean, deviation = images.mean(axis=(1, 2, 3), keepdims=True), images.std(axis=(1, 2, 3), keepdims=True)
    factor = others.std(axis=(1, 2, 3), keepdims=True) / np.maximum(deviation, 1e-3)
    return (images - mean) * factor + others.mean(axis=(1, 2, 3), keepdims=True)
