"""Drawn patterns: style images for users without paintings at hand."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from kgen import checks
from kgen.types import Array


def textures(count: int, image_size: int = 128, seed: int = 0) -> Array:
    """Draws patterns in random colours: mosaics, brush strokes, marble, stripes, dots and weaves.

    Image i depends only on `seed` and i.

    Args:
        count: number of images.
        image_size: height and width in pixels, at least 16.
        seed: integer of at least 0.

    Returns:
        uint8 `(count, image_size, image_size, 3)`.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> kgen.data.textures(6, image_size=32).shape
        (6, 32, 32, 3)
    """
    count = checks.integer("textures", "count", count)
    image_size = checks.integer("textures", "image_size", image_size, 16)
    seed = checks.integer("textures", "seed", seed, 0)
    return np.stack([_texture(np.random.default_rng([seed, i]), image_size) for i in range(count)])


def _texture(numbers, size):
    # Draws at twice the size, for smooth edges.
    kind = (_mosaic, _strokes, _marble, _stripes, _dots, _weave)[numbers.integers(6)]
    image = kind(numbers, 2 * size, _palette(numbers))
    return np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))


def _palette(numbers, count=6):
    """Colours blended between two or three very different ones."""
    ends = numbers.integers(0, 256, (numbers.integers(2, 4), 3)).astype("float64")
    ends[0] *= 0.4
    ends[-1] = 255 - 0.5 * (255 - ends[-1])
    place = np.linspace(0, len(ends) - 1, count)
    colors = np.stack([np.interp(place, np.arange(len(ends)), ends[:, c]) for c in range(3)], axis=1)
    return np.clip(colors + numbers.normal(0, 18, colors.shape), 0, 255).astype("uint8")


def _mosaic(numbers, size, palette):
    points = numbers.uniform(0, size, (int(numbers.integers(20, 160)), 2))
    rows, columns = np.mgrid[:size, :size]
    nearest, least, second = np.zeros((size, size), int), np.full((size, size), np.inf), np.full((size, size), np.inf)
    for i, (row, column) in enumerate(points):
        distance = np.hypot(rows - row, columns - column)
        second = np.minimum(second, np.maximum(distance, least))
        nearest = np.where(distance < least, i, nearest)
        least = np.minimum(distance, least)
    pixels = palette[numbers.integers(1, len(palette), len(points))][nearest]
    return Image.fromarray(np.where((second - least < size / 80)[..., None], palette[0], pixels))


def _strokes(numbers, size, palette):
    image = Image.new("RGB", (size, size), tuple(map(int, palette[0])))
    draw = ImageDraw.Draw(image)
    turn, width, length = (
        numbers.uniform(0, np.pi),
        int(numbers.integers(3, max(4, 1 + size // 16))),
        size * numbers.uniform(0.05, 0.25),
    )
    for _ in range(int(1.5 * size * size / (width * length))):
        x, y = numbers.uniform(0, size, 2)
        # Strokes follow a slowly bending field.
        angle = turn + 1.5 * np.sin(3 * x / size + turn) * np.cos(4 * y / size) + numbers.normal(0, 0.15)
        dx, dy = 0.5 * length * np.cos(angle), 0.5 * length * np.sin(angle)
        color = np.clip(palette[numbers.integers(len(palette))] + numbers.normal(0, 10, 3), 0, 255)
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=tuple(map(int, color)), width=width)
    return image


def _marble(numbers, size, palette):
    fine, warp = (_smooth(numbers, size, cells) for cells in numbers.integers((3, 2), (9, 6)))
    level = np.sin(numbers.uniform(6, 24) * fine + numbers.uniform(2, 10) * warp)
    steps = (np.clip(0.5 + 0.5 * level, 0, 1) * (len(palette) - 1)).astype(int)
    return Image.fromarray(palette[steps]).filter(ImageFilter.GaussianBlur(float(numbers.uniform(0, 2))))


def _stripes(numbers, size, palette):
    rows, columns = np.mgrid[:size, :size] / size
    turn, bend = numbers.uniform(0, np.pi), _smooth(numbers, size, 3)
    along = columns * np.cos(turn) + rows * np.sin(turn) + numbers.uniform(0, 0.3) * bend
    return Image.fromarray(palette[np.floor(numbers.uniform(6, 30) * along).astype(int) % len(palette)])


def _dots(numbers, size, palette):
    image = Image.new("RGB", (size, size), tuple(map(int, palette[0])))
    draw = ImageDraw.Draw(image)
    for _ in range(int(numbers.integers(60, 700))):
        (x, y), radius = numbers.uniform(0, size, 2), numbers.uniform(0.005, 0.04) * size
        color = palette[numbers.integers(1, len(palette))]
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(map(int, color)))
    return image


def _weave(numbers, size, palette):
    rows, columns = np.mgrid[:size, :size]
    thread = int(numbers.integers(4, max(5, 1 + size // 10)))
    over = (rows // thread + columns // thread) % 2
    across = 0.6 + 0.4 * np.sin(np.pi * ((np.where(over, rows, columns) % thread) + 0.5) / thread)
    colors = palette[np.where(over, rows // thread % 2, 2 + columns // thread % (len(palette) - 2))]
    return Image.fromarray((colors * across[..., None]).astype("uint8"))


def _smooth(numbers, size, cells):
    """Noise from -1 to 1 that changes over `1 / cells` of the image."""
    grid = Image.fromarray(numbers.uniform(-1, 1, (cells + 3, cells + 3)).astype("float32"))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC))
