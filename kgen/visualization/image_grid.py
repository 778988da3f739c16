"""Many images in one, with captions below them."""

from __future__ import annotations

import contextlib
import functools
import math
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kgen import checks
from kgen.types import Array, ImageShape

_BACKGROUND, _INK = (255, 255, 255), (40, 40, 40)
_FONT_SIZE = 12
_CAPTION_LINES = 3
# Pillow's own font has little more than ASCII. These come with operating systems and have Chinese.
_WIDE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "PingFang.ttc",
    "msyh.ttc",
)


def image_grid(
    images: Array,
    captions: Sequence[str] | None = None,
    columns: int | None = None,
    margin: int = 2,
    scale: int = 1,
) -> Image.Image:
    """Images side by side on white, row by row.

    Args:
        images: uint8 array `(N, height, width, channels)`, with 1 or 3 channels.
        captions: N strings to write below the images. One that does not fit in three lines of the image's width ends in
            an ellipsis. A character without a font is drawn as an empty box.
        columns: images per row; by default about as many as rows.
        margin: pixels around every image.
        scale: integer factor by which width and height are enlarged.

    Returns:
        A `PIL.Image` in RGB.

    Raises:
        TypeError: if `images` is not a uint8 array.
        ValueError: for any other shape, a wrong number of captions, or a number out of range.

    Example:

    ```python
    kgen.visualization.image_grid(gan.generate(16, seed=0), columns=8).save("samples.png")
    ```
    """
    images = checked_images(images, "image_grid")
    check_captions(captions, len(images), "image_grid")
    columns = square_columns(len(images)) if columns is None else checks.integer("image_grid", "columns", columns)
    margin = checks.integer("image_grid", "margin", margin, least=0)
    scale = checks.integer("image_grid", "scale", scale)
    columns = min(columns, len(images))
    height, width = images.shape[1] * scale, images.shape[2] * scale
    texts = [] if captions is None else _fitted(captions, width)
    text_height = max((text.count("\n") + 1 for text, _ in texts), default=0) * (_FONT_SIZE + 3)
    cell_height, cell_width = height + text_height + margin, width + margin
    rows = math.ceil(len(images) / columns)
    grid = Image.new("RGB", (margin + columns * cell_width, margin + rows * cell_height), _BACKGROUND)
    draw = ImageDraw.Draw(grid)
    for i, image in enumerate(images):
        left, top = margin + i % columns * cell_width, margin + i // columns * cell_height
        drawn = Image.fromarray(np.broadcast_to(image, (*image.shape[:2], 3)).copy())
        grid.paste(drawn.resize((width, height), Image.Resampling.NEAREST), (left, top))
        if texts:
            text, font = texts[i]
            draw.multiline_text((left, top + height), text, fill=_INK, font=font, spacing=2)
    return grid


def images_of_grid(
    grid: Image.Image | Array, count: int, columns: int, image_shape: ImageShape, margin: int = 2, scale: int = 1
) -> Array:
    """The images `(count, height, width, 3)` cut out of a grid that `image_grid` made, with or without captions."""
    grid = np.asarray(grid)
    height, width = image_shape[:2]
    columns = min(columns, count)
    # Captions take the rest of a row.
    cell_height = (len(grid) - margin) // math.ceil(count / columns)
    images = []
    for i in range(count):
        left, top = margin + i % columns * (width * scale + margin), margin + i // columns * cell_height
        images.append(grid[top : top + height * scale : scale, left : left + width * scale : scale])
    return np.stack(images)


def square_columns(count: int) -> int:
    """The number of columns for a roughly square grid."""
    return math.ceil(math.sqrt(count))


def as_many(images: Any, captions: Any) -> tuple[Any, Any]:
    """Images and captions as batches: a single image, as from `generate("a cat")`, becomes a batch of one."""
    if getattr(images, "ndim", None) != 3:
        return images, captions
    return images[None], [captions] if isinstance(captions, str) else captions


def checked_images(images: Any, owner: str) -> Array:
    """The images, if they are a uint8 array `(N, height, width, 1 or 3)`; else raises an error that names `owner`."""
    if getattr(images, "dtype", None) != np.uint8:
        got = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"{owner}: images must be a uint8 array (N, height, width, channels); got {got}.")
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"{owner}: images must have shape (N, height, width, 1 or 3) with N at least 1; got {images.shape}."
        )
    return images


def check_captions(captions: Any, count: int, owner: str) -> None:
    """Raises a ValueError that names `owner` unless every image has a caption, or none has."""
    if captions is not None and (isinstance(captions, str) or len(captions) != count):
        raise ValueError(f"{owner}: give a caption for each of the {count} images; got {captions!r}.")


def _fitted(captions: Sequence[str], width: int) -> list[tuple[str, Any]]:
    """Each caption in lines of at most `width` pixels, with the font to write it in."""
    fonts = [_font_of(caption) for caption in captions]
    return [(_in_lines(caption, font, width), font) for caption, font in zip(captions, fonts)]


def _font_of(caption: str) -> Any:
    """The first font with all letters of a caption."""
    if caption.isascii():
        return ImageFont.load_default(_FONT_SIZE)
    letters = [letter for letter in dict.fromkeys(caption) if not letter.isspace()]
    fonts = _fonts()
    for font in fonts:
        if all(_has(font, letter) for letter in letters):
            return font
    missing = next(letter for letter in letters if not _has(fonts[-1], letter))
    warnings.warn(
        f"image_grid: no font with {missing!r} was found, so it is drawn as an empty box. For Chinese, install a font "
        "such as fonts-noto-cjk.",
        stacklevel=5,
    )
    return fonts[-1]


@functools.cache
def _fonts() -> list:
    """Matplotlib's own, which has the alphabets of Europe and the Near East, and then those for Chinese."""
    import matplotlib

    found = []
    for file in (os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), *_WIDE_FONTS):
        with contextlib.suppress(OSError):
            found.append(ImageFont.truetype(file, _FONT_SIZE))
    return found


def _has(font: Any, letter: str) -> bool:
    """Whether a font draws more than the box of a missing letter."""
    return letter.isascii() or bytes(font.getmask(letter)) != bytes(font.getmask("\uffff"))


def _in_lines(caption: str, font: Any, width: int) -> str:
    rest = " ".join(caption.split())
    lines: list[str] = []
    while rest and len(lines) < _CAPTION_LINES:
        last = len(lines) == _CAPTION_LINES - 1
        end = _fitting(rest, font, width)
        if end == len(rest):
            lines.append(rest)
        elif last:
            lines.append(rest[: _fitting(rest, font, width, "…")].rstrip() + "…")
        else:
            # Breaks between words if there are spaces; Chinese has none.
            end = rest.rfind(" ", 1, end + 1) if " " in rest[1 : end + 1] else end
            lines.append(rest[:end])
        rest = rest[end:].lstrip()
    return "\n".join(lines)


def _fitting(text: str, font: Any, width: int, mark: str = "") -> int:
    """How many characters of a text, at least one, fit with a mark after them."""
    end = 1
    while end < len(text) and font.getlength(text[: end + 1] + mark) <= width:
        end += 1
    return end
