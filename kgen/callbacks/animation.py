"""Pictures one after the other, as an animated file."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image

from kgen.callbacks.picture_grid import checked_pictures

_FORMATS = {".gif": "GIF", ".png": "PNG"}


def save_animation(frames, path, frames_per_second=12, back=False, scale=1):
    """Writes pictures as an animation that begins anew when it ends: a GIF of 256 colours, or an animated PNG of all.

    Args:
        frames: uint8 array `(N, height, width, channels)`, with 1 channel or 3, such as a walk of a model.
        path: of the file; what it ends in, `.gif` or `.png`, is the format.
        frames_per_second: above 0; a GIF counts hundredths of a second.
        back: whether to go back to the first picture by the way that it came.
        scale: whole number: every pixel of a picture becomes a square of so many.

    Raises:
        TypeError: if `frames` is no uint8 array.
        ValueError: if its shape is another, the file's name ends otherwise, or a number is out of range.

    Example:

    ```python
    frames = model.walk(["a red apple", "a black cat"], steps=24, seed=0)
    kgen.callbacks.save_animation(frames, "walk.gif", back=True)
    ```
    """
    frames = checked_pictures(frames, "save_animation")
    path = os.fspath(path)
    ending = os.path.splitext(path)[1].lower()
    if ending not in _FORMATS:
        raise ValueError(f"save_animation: the file must end in .gif or .png; got {path!r}.")
    if not frames_per_second > 0:
        raise ValueError(f"save_animation: frames_per_second must be positive; got {frames_per_second!r}.")
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise ValueError(f"save_animation: scale must be an integer of at least 1; got {scale!r}.")
    if back:
        frames = np.concatenate([frames, frames[-2:0:-1]])
    if frames.shape[-1] == 1:
        frames = np.repeat(frames, 3, axis=-1)
    frames = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    first, *others = [Image.fromarray(frame) for frame in frames]
    first.save(
        path,
        format=_FORMATS[ending],
        save_all=True,
        append_images=others,
        duration=round(1000 / frames_per_second),
        loop=0,
        # Pictures that are alike would be joined in one, and lost to who counts them.
        **({"disposal": 2} if ending == ".gif" else {}),
    )
