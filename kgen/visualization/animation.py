"""Sequences of images as an animated file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from kgen import checks
from kgen.types import Array
from kgen.visualization.image_grid import checked_images

_FORMATS = {".gif": "GIF", ".png": "PNG"}


def save_animation(
    frames: Array,
    path: str | os.PathLike,
    frames_per_second: float = 12,
    back: bool = False,
    scale: int = 1,
) -> None:
    """Writes images as a looping animation: a GIF with 256 colours, or an animated PNG with all colours.

    Args:
        frames: uint8 array `(N, height, width, channels)`, with 1 or 3 channels, such as the result of a model's
            `walk`.
        path: path of the file, in a folder that is created if needed; its suffix, `.gif` or `.png`, sets the format.
        frames_per_second: above 0; a GIF rounds frame times to hundredths of a second, at least two of them, because
            browsers slow shorter ones down.
        back: whether to return to the first image through the same images.
        scale: integer factor by which width and height are enlarged.

    Raises:
        TypeError: if `frames` is not a uint8 array.
        ValueError: for any other shape or suffix, or a number out of range.

    Example:

    ```python
    frames = model.walk(["a red apple", "a black cat"], steps=24, seed=0)
    kgen.visualization.save_animation(frames, "walk.gif", back=True)
    ```
    """
    frames = checked_images(frames, "save_animation")
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in _FORMATS:
        raise ValueError(f"save_animation: the file must end in .gif or .png; got {str(path)!r}.")
    if not frames_per_second > 0:
        raise ValueError(f"save_animation: frames_per_second must be positive; got {frames_per_second!r}.")
    scale = checks.integer("save_animation", "scale", scale)
    if back:
        frames = np.concatenate([frames, frames[-2:0:-1]])
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    frames = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(
        path,
        format=_FORMATS[suffix],
        save_all=True,
        append_images=others,
        duration=_milliseconds(frames_per_second, suffix),
        loop=0,
        # Otherwise Pillow merges equal frames, and the file has fewer of them.
        **({"disposal": 2} if suffix == ".gif" else {}),
    )


def _milliseconds(frames_per_second, suffix):
    """How long each frame is shown. Pillow would cut a GIF's times to whole hundredths of a second."""
    return 10 * max(2, round(100 / frames_per_second)) if suffix == ".gif" else round(1000 / frames_per_second)
