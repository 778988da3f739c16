"""From an image file of any kind to square uint8 pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import IO, Any, TypeAlias

import numpy as np
from PIL import Image, ImageColor, UnidentifiedImageError

from kgen import checks
from kgen.eight_bit_image import eight_bit, opaque
from kgen.types import Array

# A name, "#rrggbb", or three numbers from 0 to 255.
Color: TypeAlias = str | Sequence[int]
# Formats that Pillow lists but cannot decode by itself: some need another program, some are data or videos.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Images that Pillow reads only with a plug-in, if at all: from phones, drawings, raw camera data, and others.
_UNREAD_SUFFIXES = frozenset(
    ".heic .heif .hif .svg .svgz .eps .ps .wmf .emf .jxl .exr .hdr .xcf .raw .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf "
    ".pef .srw".split()
)
_HINTS = {
    suffix: "`pip install pillow-heif`, and call `pillow_heif.register_heif_opener()` first"
    for suffix in (".heic", ".heif", ".hif")
}


def read_image(
    file: str | os.PathLike | IO[bytes],
    image_size: int,
    channels: int = 3,
    background: Color = "white",
    resize: str = "crop",
) -> Array:
    """Reads the first frame of an image file, upright, opaque, 8 bit and square.

    EXIF orientation is applied. Palettes, 16-bit grey, CMYK and alpha become plain grey or RGB; transparent parts show
    `background`. Resizing is antialiased (Lanczos).

    Args:
        file: path or binary file, in any format that Pillow reads.
        image_size: height and width of the result in pixels.
        channels: 1 (grey) or 3 (RGB).
        background: a colour: a name, `"#rrggbb"` or `(r, g, b)`.
        resize: `"crop"` keeps the centre square; `"pad"` keeps everything and adds `background`.

    Returns:
        uint8 `(image_size, image_size, channels)`.

    Raises:
        OSError, SyntaxError, ValueError: if the file is broken or not an image (from Pillow), or has 32-bit pixels,
            whose value for white is unknown.

    Example:

    ```python
    read_image("cat.png", 64).shape      # (64, 64, 3)
    ```
    """
    image_size = check_image_options("read_image", image_size, channels, background, resize)
    with opened_image(file) as opened:
        draft(opened, image_size)
        return squared_image(opened, image_size, channels, background, resize)


def squared_image(
    opened: Image.Image, image_size: int, channels: int = 3, background: Color = "white", resize: str = "crop"
) -> Array:
    """The same as `read_image`, for an image that Pillow has opened.

    Raises:
        OSError, SyntaxError, ValueError: as in `read_image`.
    """
    color = rgb(background)
    image = opaque(eight_bit(opened), color)
    image = _cropped(image, image_size) if resize == "crop" else _padded(image, image_size, color)
    image = image.convert("L" if channels == 1 else "RGB")
    return np.asarray(image).reshape(image_size, image_size, channels)


def draft(opened: Image.Image, image_size: int) -> None:
    """Lets a JPEG that kgen opened decode faster, at a fraction of its size; three times the target loses nothing."""
    opened.draft(None, (3 * image_size, 3 * image_size))  # type: ignore[arg-type]


def opened_image(file: str | os.PathLike | IO[bytes]) -> Image.Image:
    """An image file as `PIL.Image.open` opens it, in any format that Pillow decodes by itself.

    Raises:
        PIL.UnidentifiedImageError: an `OSError`, if it is not such an image. The message says what helps, if that is
            known.
    """
    try:
        return Image.open(file, formats=_formats())
    except UnidentifiedImageError as error:
        suffix = Path(file).suffix.lower() if isinstance(file, (str, os.PathLike)) else ""
        if suffix not in _UNREAD_SUFFIXES:
            raise
        hint = _HINTS.get(suffix, "convert it to png")
        raise UnidentifiedImageError(f"Pillow does not read {suffix}: {hint}") from error


def is_image_name(name: str) -> bool:
    """Whether a file's name has an image's ending, whether or not Pillow can read that format.

    Example:

    ```python
    is_image_name("cat.TIFF"), is_image_name("cat.heic"), is_image_name("cat.txt")      # (True, True, False)
    ```
    """
    suffix = PurePath(name).suffix.lower()
    # These hold two JPEGs each; Pillow opens them as JPEG.
    kind = "JPEG" if suffix == ".mpo" else Image.registered_extensions().get(suffix)
    return suffix in _UNREAD_SUFFIXES or kind in _formats()


def _formats() -> list[str]:
    """Names of the formats that Pillow decodes, including those of registered plug-ins."""
    Image.init()
    return [name for name in Image.OPEN if name not in _NOT_DECODED]


def check_image_options(caller: str, image_size: Any, channels: int, background: Color, resize: str) -> int:
    """Checks the options of `read_image` and returns `image_size` as an `int`; the error begins with `caller`.

    Raises:
        ValueError: an option has a value that `read_image` does not accept.
    """
    image_size = checks.integer(caller, "image_size", image_size)
    if channels not in (1, 3):
        raise ValueError(f"{caller}: channels must be 1 (grey) or 3 (RGB); got {channels!r}.")
    if resize not in ("crop", "pad"):
        raise ValueError(f'{caller}: resize must be "crop" or "pad"; got {resize!r}.')
    try:
        rgb(background)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{caller}: background must be a colour such as "white", "#1f77b4" or (255, 255, 255); got {background!r}.'
        ) from error
    return image_size


def rgb(color: Color) -> tuple[int, int, int]:
    """A colour, given as a name, `"#rrggbb"` or three numbers, as `(r, g, b)` from 0 to 255."""
    if isinstance(color, str):
        return ImageColor.getrgb(color)[:3]
    red, green, blue = (int(value) for value in color)
    if min(red, green, blue) < 0 or max(red, green, blue) > 255:
        raise ValueError(f"rgb: a colour has values from 0 to 255; got {color!r}.")
    return red, green, blue


def _cropped(image, size):
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _padded(image, size, background):
    scale = size / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    padded = Image.new("RGB", (size, size), background)
    image = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    padded.paste(image, ((size - width) // 2, (size - height) // 2))
    return padded
