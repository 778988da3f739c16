"""SVG drawings as pixels, rendered once and cached."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata

import numpy as np
from PIL import Image

from kgen.data.cache_directory import cache_directory as kgen_cache_directory
from kgen.data.read_image import Color, rgb
from kgen.files import whole_file
from kgen.progress import Progress
from kgen.types import Array


def check_packages(owner: str, packages: Mapping[str, str]) -> None:
    """Checks that the packages for drawing are installed.

    Args:
        owner: function that needs it.
        packages: a dict from module to the package's name for pip.

    Raises:
        ImportError: if one of the packages is missing.
    """
    missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise ImportError(
            f"{owner}: needs the packages {', '.join(packages.values())}; missing: {', '.join(missing)}. "
            '`pip install "keras-kgen[demo]"`.'
        )


def rendered(
    name: str,
    svg_of: Callable[[int], str],
    count: int,
    selection: str,
    packages: Iterable[str],
    image_size: int,
    background: Color | None,
    cache_directory: str | os.PathLike | None,
    verbose: int | str,
) -> Array:
    """Drawings as pixels, from the cache if they are there.

    Args:
        name: name of the set; errors and the name of the cache file begin with it.
        svg_of: a function from i to the SVG text of drawing i.
        count: number of drawings.
        selection: identifies the drawings, together with the versions of `packages`.
        packages: distributions that the drawings depend on.
        image_size: height and width in pixels.
        background: the colour behind the drawings; None: none, and a fourth channel marks the drawing.
        cache_directory: see `kgen.data.openmoji`.
        verbose: progress bar while rendering: 0: never; 1: always; "auto": after two seconds.

    Returns:
        uint8 `(count, image_size, image_size, 3)`, or `(count, image_size, image_size, 4)` without a background.
    """
    directory, color = kgen_cache_directory(cache_directory), None if background is None else rgb(background)
    versions = [metadata.version(package) for package in (*packages, "resvg-py")]
    key = hashlib.sha256(f"{versions} {image_size} {color} {selection}".encode()).hexdigest()[:16]
    path = directory / f"{name}-{image_size}-{key}.npz"
    if path.exists():
        try:
            with np.load(path, allow_pickle=False) as archive:  # the archive's checksum finds damaged pixels
                images = archive["images"]
            if images.shape != (count, image_size, image_size, 3 + (color is None)) or images.dtype != np.uint8:
                raise ValueError(f"holds {images.dtype} {images.shape}")
            return images
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            warnings.warn(f"{name}: the cache file {path} is damaged ({error}); rendering again.", stacklevel=3)
    images = _pixels(svg_of, count, image_size, color, verbose)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            np.savez_compressed(partial, images=images)
    except OSError as error:
        warnings.warn(f"{name}: could not save the pixels in {directory} ({error}).", stacklevel=3)
    return images


def _pixels(svg_of, count, image_size, color, verbose):
    import resvg_py

    background, mode = None if color is None else "#{:02x}{:02x}{:02x}".format(*color), "RGB" if color else "RGBA"
    images = np.empty((count, image_size, image_size, len(mode)), "uint8")
    progress = Progress(count, "image", verbose)
    for i in range(count):
        # By eye, resvg's own antialiasing is as good as 2 and 4 times supersampling at 32 and 64 px.
        png = resvg_py.svg_to_bytes(
            svg_string=svg_of(i), width=image_size, height=image_size, background=background, skip_system_fonts=True
        )
        images[i] = np.asarray(Image.open(io.BytesIO(bytes(png))).convert(mode))
        progress.add(1)
    return images
