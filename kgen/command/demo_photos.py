"""Photographs on the `kgen demo` page: enhancement and style, by presets that come with kgen."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from kgen.command.image_files import WHITE, read_whole_image
from kgen.presets import load_preset
from kgen.types import Array

ENHANCERS = {
    "Remove noise": "denoise_photo",
    "Double the size": "upscale_photo_2x",
    "Fill in painted areas": "inpaint_photo",
}
STYLE = "style_efficientnet_lite0"
# A megapixel takes two to fifteen seconds on two cores.
MOST_PIXELS = 1_000_000

_loaded: dict[str, Any] = {}
_lock = threading.Lock()


def photo(path: str | None, what: str = "a photograph") -> Array:
    """An uploaded file as uint8 `(H, W, 3)`, reduced if it has more than a megapixel.

    Raises:
        OSError: if the file is not an image.
        ValueError: if there is no file.
    """
    if not path:
        raise ValueError(f"Upload {what} first.")
    try:
        return smaller(read_whole_image(Path(path), WHITE))
    except OSError as error:
        raise OSError("This file cannot be read as an image.") from error


def smaller(image: Array) -> Array:
    """The image, reduced with the same proportions if it has more than a megapixel."""
    share = math.sqrt(MOST_PIXELS / (image.shape[0] * image.shape[1]))
    if share >= 1:
        return image
    from PIL import Image

    height, width = (max(1, int(share * side)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))


def enhance(task: str, image: Array, mask: Array | None = None) -> tuple[Array, Array]:
    """`(before, after)`, of equal size.

    Args:
        task: one of `ENHANCERS`.
        image: uint8 `(H, W, 3)`.
        mask: `(H, W)`, not 0 where the image is to be filled in; only for the task that fills in.

    Raises:
        ValueError: if nothing, or everything, is to be filled in.
    """
    model, before = _preset(ENHANCERS[task]), image
    if not model.masked:
        mask = None
    elif mask is None or not mask.any():
        raise ValueError("Paint over the areas to fill in first.")
    elif mask.all():
        raise ValueError("The whole image is painted over. Leave part of it unpainted to fill in from.")
    else:
        before = np.where(mask[..., None] != 0, np.uint8(128), image)
    after = _in_turn(model.restore, image, mask)
    return before.repeat(model.scale, axis=0).repeat(model.scale, axis=1), after


def stylize(
    content: Array, style: Array, strength: float = 1.0, texture: float = 0.65, preserve_color: bool = False
) -> tuple[Array, Array]:
    """`(before, after)`: the content image, and the same in the style of another image."""
    model = _preset(STYLE)
    return content, _in_turn(model.stylize, content, style, strength, preserve_color, texture=texture)


def _preset(name):
    with _lock:
        if name not in _loaded:
            _loaded[name] = load_preset(name)
        return _loaded[name]


def _in_turn(method, *arguments, **options):
    with _lock:
        return method(*arguments, **options, verbose=0)
