"""Images in and out of files, of any size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kgen.command.wrong_use import WrongUse
from kgen.files import whole_file
from kgen.types import Array

WHITE, BLACK = (255, 255, 255), (0, 0, 0)
# Suffixes of image files that can be written.
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def read_whole_image(path: Path, background: tuple[int, int, int] | None = None) -> Array:
    """An image file as uint8 `(H, W, channels)`, upright, in its own size.

    Args:
        path: the file.
        background: a colour that transparent parts show, for 3 channels; None: transparent images have 4 channels.

    Raises:
        OSError: if it cannot be read, is not an image, or has 32-bit pixels.
    """
    from PIL import Image, UnidentifiedImageError

    from kgen.eight_bit_image import eight_bit, is_transparent, opaque

    try:
        with Image.open(path) as opened:
            image = eight_bit(opened)
            if background is None and is_transparent(image):
                return np.asarray(image.convert("RGBA"))
            return np.asarray(opaque(image, background or WHITE))
    except UnidentifiedImageError as error:
        raise OSError(f"'{path}' is not an image that Pillow can read.") from error
    # Pillow's decoders raise a dozen types for broken files.
    except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise OSError(f"'{path}' cannot be read as an image ({error}).") from error
    except OSError as error:
        raise type(error)(f"'{path}' cannot be read ({error.strerror or error}).") from error


def beside(path: Path, ending: str) -> Path:
    """A PNG file beside an image: `cat_restored.png` for `cat.jpg`.

    Raises:
        WrongUse: for a directory.
    """
    if path.is_dir():
        raise WrongUse(f"'{path}' is a directory; give image files, such as {path / '*.jpg'}.")
    return path.with_name(f"{path.stem}_{ending}.png")


def write_image(path: Path, image: Array) -> None:
    """Writes a uint8 image `(H, W, channels)` in the format of the path's suffix, completely or not at all."""
    from PIL import Image

    picture: Any = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if picture.mode == "RGBA" and path.suffix.lower() in (".jpg", ".jpeg"):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    with whole_file(path) as partial:
        picture.save(partial)
