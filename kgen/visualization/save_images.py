"""Saves images to files."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from kgen import checks
from kgen.files import whole_file, write_whole
from kgen.types import Array
from kgen.visualization.image_grid import as_many, check_captions, checked_images, image_grid


def save_images(
    path: str | os.PathLike,
    images: Array,
    captions: Sequence[str] | str | None = None,
    columns: int | None = None,
    scale: int = 1,
    margin: int | None = None,
    texts: Sequence[Mapping[str, str]] | None = None,
) -> None:
    """Writes the result of `generate`: one image, or many as one grid or as a folder of files.

    Args:
        path: `something.png` for a grid; a path without a suffix for a folder, which is created if necessary:
            `0000.png`, `0001.png` and so on, with the captions in `captions.csv`, as `kgen.data.captioned_folder` reads
            them. Without captions an older `captions.csv` is removed: it is not about these images.
        images: uint8 array `(N, height, width, channels)`, or `(height, width, channels)`, with 1 or 3 channels.
        captions: N strings; a string for one image.
        columns: images per row of the grid; by default about as many as rows.
        scale: integer factor by which width and height are enlarged in a grid.
        margin: pixels around each image of a grid; with 0, a grid of one image is that image. None: 2, but 0 for one
            image `(height, width, channels)` without a caption.
        texts: texts to store in the files, which `PIL.Image.open(file).text` returns: a list with one dict of strings
            for the grid, or with one for each file of a folder.

    Raises:
        TypeError: if `images` is not a uint8 array.
        ValueError: for any other shape or suffix, a wrong number of captions or texts, or a number out of range.

    Example:

    ```python
    images = model.generate(["a red apple", "a black cat"], seed=0)
    kgen.visualization.save_images("samples.png", images, ["a red apple", "a black cat"])
    kgen.visualization.save_images("samples", images)      # samples/0000.png, samples/0001.png
    kgen.visualization.save_images("apple.png", images[0])      # the image itself
    ```
    """
    path = Path(path).expanduser()
    if margin is None:
        margin = 0 if getattr(images, "ndim", None) == 3 and captions is None else 2
    images, captions = as_many(images, captions)
    images = checked_images(images, "save_images")
    check_captions(captions, len(images), "save_images")
    columns = None if columns is None else checks.integer("save_images", "columns", columns)
    scale = checks.integer("save_images", "scale", scale)
    count = 1 if path.suffix else len(images)
    if texts is not None and len(texts) != count:
        raise ValueError(f"save_images: give one dict of texts for each of the {count} files; got {len(texts)}.")
    texts = [{}] * count if texts is None else texts
    if path.suffix.lower() == ".png":
        grid = image_grid(images, captions, columns, margin, scale)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, grid, texts[0])
    elif path.suffix:
        raise ValueError(f"save_images: path must end in .png, or be a folder without a suffix; got '{path}'.")
    elif columns is not None or scale != 1:
        raise ValueError("save_images: columns and scale are only for a grid; path must end in .png.")
    else:
        path.mkdir(parents=True, exist_ok=True)
        names = [f"{i:04d}.png" for i in range(len(images))]
        for name, image, text in zip(names, images, texts):
            _write(path / name, image, text)
        if captions is None:
            (path / "captions.csv").unlink(missing_ok=True)
        else:
            table = io.StringIO()
            csv.writer(table, lineterminator="\n").writerows([("file_name", "text"), *zip(names, captions)])
            write_whole(path / "captions.csv", table.getvalue())


def png(image: Image.Image | Array, texts: Mapping[str, str]) -> bytes:
    """A PNG of an image, with stored texts: `PIL.Image.open(io.BytesIO(png(...))).text` returns them."""
    if not isinstance(image, Image.Image):
        image = Image.fromarray(np.squeeze(image, -1) if image.shape[-1] == 1 else image)
    info = PngInfo()
    for name, text in texts.items():
        info.add_itxt(name, text)
    stream = io.BytesIO()
    image.save(stream, format="PNG", pnginfo=info)
    return stream.getvalue()


def _write(path: Path, image: Image.Image | Array, texts: Mapping[str, str]) -> None:
    with whole_file(path) as partial:
        Path(partial).write_bytes(png(image, texts))
