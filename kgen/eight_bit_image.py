"""Images that Pillow has opened, of any kind: upright, with 8 bits a channel, opaque."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps


def eight_bit(opened: Image.Image) -> Image.Image:
    """An opened image, upright, with 8 bits a channel; 16-bit grey keeps black and white.

    Raises:
        ValueError: if it has 32-bit pixels, whose value for white is unknown.
    """
    if opened.mode == "F" or (opened.mode == "I" and opened.format == "TIFF"):
        raise ValueError("the white level of 32-bit pixels is unknown; convert them to 8 or 16 bits")
    image = ImageOps.exif_transpose(opened)
    if not image.mode.startswith("I"):
        return image
    # Pillow's own convert would clip 16-bit grey at 255.
    grey = np.asarray(image).astype("float32") / 257
    return Image.fromarray(np.clip(grey.round(), 0, 255).astype("uint8"))


def is_transparent(image: Image.Image) -> bool:
    """Whether parts of an image may be transparent."""
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def opaque(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """An 8-bit image in RGB; transparent parts show the background."""
    if is_transparent(image):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
    return image.convert("RGB")
