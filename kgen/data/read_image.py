"""A picture file of any kind to square uint8 pixels."""

import numpy as np
from PIL import Image, ImageColor, ImageOps

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")
_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")


def read_picture(file, image_size, channels=3, background="white", resize="crop"):
    """Reads the first frame of a picture, upright, opaque, 8 bit and square.

    EXIF orientation is applied; palettes, 16-bit grey, CMYK and alpha are turned into plain grey or RGB, transparent
    parts showing `background`; resizing is antialiased (Lanczos).

    Args:
        file: path or binary file of a png, jpeg, webp, gif or bmp.
        image_size: height and width of the result in pixels.
        channels: 1 (grey) or 3 (RGB).
        background: a colour Pillow understands: a name, `"#rrggbb"` or `(r, g, b)`.
        resize: `"crop"` keeps the centre square; `"pad"` keeps everything and adds `background`.

    Returns:
        uint8 `(image_size, image_size, channels)`.

    Raises:
        OSError, SyntaxError, ValueError: whatever Pillow says of a file that is broken or no picture.
    """
    check_picture_options("read_picture", image_size, channels, background, resize)
    background = rgb(background)
    with Image.open(file, formats=_FORMATS) as picture:
        # A JPEG decodes at a fraction of its size for a fraction of the time; three times the target loses nothing.
        picture.draft(None, (3 * image_size, 3 * image_size))
        picture = _opaque_rgb(ImageOps.exif_transpose(picture), background)
    picture = _cropped(picture, image_size) if resize == "crop" else _padded(picture, image_size, background)
    picture = picture.convert("L" if channels == 1 else "RGB")
    return np.asarray(picture).reshape(image_size, image_size, channels)


def check_picture_options(caller, image_size, channels, background, resize):
    """Checks the options of `read_picture`; `caller` begins the message of the error.

    Raises:
        ValueError: an option is not one of those that `read_picture` knows.
    """
    if isinstance(image_size, bool) or not isinstance(image_size, (int, np.integer)) or image_size < 1:
        raise ValueError(f"{caller}: image_size must be a positive number of pixels (int); got {image_size!r}.")
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


def rgb(color):
    """The `(r, g, b)` of 0 to 255 of a colour given as name, `"#rrggbb"` or three numbers."""
    if isinstance(color, str):
        return ImageColor.getrgb(color)[:3]
    red, green, blue = (int(value) for value in color)
    if min(red, green, blue) < 0 or max(red, green, blue) > 255:
        raise ValueError(f"rgb: a colour has values from 0 to 255; got {color!r}.")
    return red, green, blue


def _opaque_rgb(picture, background):
    if picture.mode.startswith("I"):  # 16-bit grey, which Pillow's own convert would clip at 255
        grey = np.asarray(picture).astype("float32") / 257
        picture = Image.fromarray(np.clip(grey.round(), 0, 255).astype("uint8"))
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (*background, 255)), picture)
    return picture.convert("RGB")


def _cropped(picture, size):
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)


def _padded(picture, size, background):
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    padded = Image.new("RGB", (size, size), background)
    picture = picture.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    padded.paste(picture, ((size - width) // 2, (size - height) // 2))
    return padded
