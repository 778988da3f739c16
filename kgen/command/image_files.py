"""Images in and out of files, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kgen.files import whole_file
from kgen.types import Array

# Suffixes of image files that can be written.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def read_whole_image(path: Path) -> Array:
    """An image file as uint8 `(H, W, 3 or 4)`, upright, in its own size; 4 channels if parts are transparent.

    Raises:
        OSError: if it cannot be read, or is not an image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
            return np.asarray(image.convert("RGBA" if transparent else "RGB"))
    except UnidentifiedImageError as error:
        raise OSError(f"'{path}' is not an image that Pillow can read.") from error
    # Pillow's decoders raise a dozen types for broken files.
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise OSError(f"'{path}' is a broken image ({error}).") from error
    except OSError as error:
        raise type(error)(f"'{path}' cannot be read ({error.strerror or error}).") from error


def write_image(path: Path, image: Array) -> None:
    """Writes a uint8 image `(H, W, channels)` in the format of the path's suffix, completely or not at all."""
    from PIL import Image

    picture: Any = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if picture.mode == "RGBA" and path.suffix.lower() in (".jpg", ".jpeg"):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    with whole_file(path) as partial:
        picture.save(partial)
