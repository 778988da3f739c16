"""Images and captions from the rows of a table."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sized
from typing import Any

import numpy as np
from PIL import Image

from kgen.data.pixel_store import pixel_store
from kgen.data.read_image import Color, check_image_options, draft, opened_image, squared_image
from kgen.progress import Progress
from kgen.types import Array

_OWNER = "CaptionedImages.from_rows"


def captioned_rows(
    rows: Iterable[Mapping[str, Any]],
    image: str,
    text: str,
    image_size: int,
    channels: int,
    background: Color,
    resize: str,
    verbose: int | str,
) -> tuple[Array, list[list[str]], list[str]]:
    """`(images, captions, names)` of rows. `CaptionedImages.from_rows` explains the arguments.

    Raises:
        TypeError, ValueError: as there.
    """
    image_size = check_image_options(_OWNER, image_size, channels, background, resize)
    count = len(rows) if isinstance(rows, Sized) else None
    pixels: Any = [] if count is None else pixel_store((count, image_size, image_size, channels))
    captions: list[list[str]] = []
    names: list[str] = []
    progress = Progress(count, "image", verbose)
    for number, row in enumerate(rows):
        where = f"{_OWNER}: row {number}"
        found, told = _value(row, image, where), _value(row, text, where)
        opened = _opened(found, f"{where}: {image!r}")
        try:
            if opened is not found:
                # Not a user's own image, which would stay small.
                draft(opened, image_size)
            square = squared_image(opened, image_size, channels, background, resize)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
            raise ValueError(f"{where}: {image!r} is an image that cannot be read ({error}).") from error
        if count is None:
            pixels.append(square)
        else:
            pixels[number] = square
        captions.append(_texts(told, f"{where}: {text!r}"))
        path = found.get("path") if isinstance(found, Mapping) else None
        names.append(str(row.get("__key__") or path or number))
        progress.add(1)
    if not captions:
        raise ValueError(f"{_OWNER}: there are no rows.")
    return np.stack(pixels) if count is None else pixels, captions, names


def _value(row, name, where):
    if not isinstance(row, Mapping):
        raise TypeError(f"{where} must be a dict; got {type(row).__name__}.")
    if name not in row:
        raise ValueError(
            f"{where} has no {name!r}; it has {', '.join(map(repr, row))}. Pass image= and text= to name the columns."
        )
    return row[name]


def _opened(value, where):
    """The value as a Pillow image."""
    if isinstance(value, Image.Image):
        return value
    if isinstance(value, Mapping) and (value.get("bytes") is not None or value.get("path")):
        value = value["bytes"] if value.get("bytes") is not None else value["path"]
        if isinstance(value, str):
            return _file(value, where)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _file(io.BytesIO(value), where)
    if hasattr(value, "shape") and not callable(value.shape):
        array = np.asarray(value)
        array = array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array
        if array.dtype == np.uint8 and (array.ndim == 2 or array.ndim == 3 and array.shape[-1] in (2, 3, 4)):
            return Image.fromarray(array)
        raise ValueError(
            f"{where} must be a uint8 array (height, width) or (height, width, channels); got {array.dtype} of shape "
            f"{np.shape(value)}."
        )
    raise TypeError(
        f"{where} must be a PIL image, an array, the bytes of a file, or a dict with 'bytes' or 'path'; got "
        f"{type(value).__name__}."
    )


def _file(file, where):
    try:
        return opened_image(file)
    except OSError as error:
        raise ValueError(f"{where} cannot be read as an image ({error}).") from error


def _texts(value, where):
    """The value as a list of non-empty captions."""
    values = [value] if isinstance(value, (str, bytes)) else value
    if not isinstance(values, (list, tuple, np.ndarray)):
        raise TypeError(f"{where} must be a string or a list of strings; got {value!r}.")
    texts = [each.decode("utf-8", "replace") if isinstance(each, bytes) else each for each in values]
    if not all(isinstance(each, str) for each in texts):
        raise TypeError(f"{where} must be a string or a list of strings; got {value!r}.")
    if not texts or not all(each.strip() for each in texts):
        raise ValueError(f"{where} is empty, or has an empty caption; got {value!r}. Filter out such rows first.")
    return [str(each).strip() for each in texts]
