"""Scenes made of cut-outs, with captions that say how many, which colour, and where."""

from __future__ import annotations

import functools
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from kgen import checks
from kgen.data.captioned_images import CaptionedImages
from kgen.data.captioned_shapes import SPLITS
from kgen.data.pixel_store import pixel_store
from kgen.data.read_image import Color, check_image_options, rgb
from kgen.types import Array

TINTS = {
    "red": (214, 40, 48),
    "orange": (240, 130, 30),
    "yellow": (244, 204, 40),
    "green": (50, 160, 70),
    "blue": (45, 100, 220),
    "purple": (135, 60, 190),
    "pink": (245, 130, 180),
}
_COUNTS = {"two": 2, "three": 3}
# Centres of two or three things if places do not vary.
_STILL = {2: ((0.27, 0.5), (0.73, 0.5)), 3: ((0.27, 0.27), (0.73, 0.27), (0.5, 0.73))}
_RELATIONS = {"above": (0, -1), "below": (0, 1), "left of": (-1, 0), "right of": (1, 0)}
# One in this many pairs of a word and a thing is held out.
_HELD_OUT = 8
# Irregular plurals.
_IRREGULAR = {
    "calf": "calves",
    "fish": "fish",
    "goose": "geese",
    "leaf": "leaves",
    "loaf": "loaves",
    "mouse": "mice",
    "ox": "oxen",
    "sheep": "sheep",
    "wolf": "wolves",
}
_COLOR_WORDS = {*TINTS, "black", "white", "brown", "grey", "gray", "golden"}


def compose(
    cutouts: CaptionedImages,
    n: int,
    image_size: int = 128,
    seed: int = 0,
    split: str = "train",
    background: Color = "white",
    vary: bool = True,
) -> CaptionedImages:
    """Draws scenes of cut-outs whose captions say how many, which colour, and where: "two cats", "a blue apple".

    A quarter of the images show one thing unchanged, a quarter two or three of it, a quarter one in another colour, and
    a quarter two things in a relation: "a cat left of an apple". An eighth of all pairs of a thing and a count or
    colour never occur in the training split: a model that draws them from words has learned to compose. Which pairs are
    held out depends only on the words.

    Args:
        cutouts: images `(N, h, w, 4)` whose fourth channel is 0 where nothing is, such as
            `kgen.data.icons(..., background=None)`. The first caption of each is its name. Things with a colour in
            their name are not tinted, and things with a plural name are not counted.
        n: number of images.
        image_size: height and width in pixels.
        seed: integer of at least 0. Image i depends only on the cut-outs, the seed, the split and i.
        split: `"train"`; `"seen"`, other images of the same kinds, for testing; or `"held_out"`, images of held-out
            pairs.
        background: a name, `"#rrggbb"` or `(r, g, b)`.
        vary: whether images with the same caption differ in places and sizes. False: each caption has one image, which
            a model learns sooner.

    Returns:
        A `CaptionedImages` of uint8 `(n, image_size, image_size, 3)`; `attributes` are dicts of `names`, a list, and
        `count`, `color` and `relation`, each None if the caption does not say it.

    Raises:
        TypeError: if `cutouts` is not a `CaptionedImages`.
        ValueError: if there is no fourth channel, there are too few cut-outs, or an argument is out of its range.

    Example:

    ```python
    cutouts = kgen.data.icons("node_modules/@iconify-json/noto", background=None, groups=["animals-nature"])
    kgen.data.compose(cutouts, 1000).captions[0]        # ["two whales"]
    ```
    """
    if not isinstance(cutouts, CaptionedImages):
        raise TypeError(f"compose: cutouts must be CaptionedImages; got {type(cutouts).__name__}.")
    if cutouts.image_shape[-1] != 4 or len(cutouts) < 2:
        raise ValueError(
            "compose: cutouts must be at least two images of four channels, the last one 0 where nothing is; got "
            f"{len(cutouts)} of {cutouts.image_shape}. kgen.data.icons(..., background=None) makes such images."
        )
    n = checks.integer("compose", "n", n)
    image_size = check_image_options("compose", image_size, 3, background, "crop")
    seed = checks.integer("compose", "seed", seed, 0)
    if split not in SPLITS:
        raise ValueError(f"compose: split must be one of {', '.join(map(repr, SPLITS))}; got {split!r}.")
    names = [texts[0] for texts in cutouts.captions]
    words = [*_COUNTS, *TINTS]
    if split == "held_out" and not any(_fits(word, name) and held_out(word, name) for word in words for name in names):
        raise ValueError(
            "compose: no count or colour of these cut-outs is held out from training; give more cut-outs than "
            f"{len(names)}."
        )
    picture = functools.cache(lambda thing: _cropped(cutouts.images[thing]))
    images, captions, attributes = pixel_store((n, image_size, image_size, 3)), [], []
    for i in range(n):
        random = np.random.default_rng([seed, SPLITS.index(split), i])
        things, scene = _scene(names, random, split == "held_out")
        places = _places(scene, random if vary else None)
        images[i] = _drawn([picture(thing) for thing in things], scene, places, image_size, background)
        captions.append(_caption(scene))
        attributes.append(scene)
    return CaptionedImages(images, captions, attributes=attributes)


def _drawn(
    pictures: Sequence[Image.Image],
    scene: dict[str, Any],
    places: Sequence[tuple[float, float, float]],
    image_size: int,
    background: Color,
) -> Array:
    """One scene, uint8 `(image_size, image_size, 3)`.

    Args:
        pictures: RGBA, one for each thing in the scene, cropped tightly.
        scene: its `count`, `color` and `relation`; see `compose`.
        places: `(x, y, side)` of each, see `_places`.
        image_size, background: as in `compose`.
    """
    canvas = Image.new("RGB", (image_size, image_size), rgb(background))
    for picture, (x, y, side) in zip(pictures, places):
        if scene["color"]:
            picture = _tinted(picture, TINTS[scene["color"]])
        scale = side * image_size / max(picture.size)
        width, height = (max(1, round(scale * length)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        canvas.paste(picture, (round(x * image_size - width / 2), round(y * image_size - height / 2)), picture)
    return np.asarray(canvas)


def held_out(word: str, name: str) -> bool:
    """Whether `compose` never shows a thing with this count or colour in training: `held_out("two", "cat")`."""
    return zlib.crc32(f"{word} {name}".encode()) % _HELD_OUT == 0


def _cropped(pixels: Array) -> Image.Image:
    """A cut-out, uint8 `(h, w, 4)`, as a tightly cropped image."""
    picture = Image.fromarray(pixels, "RGBA")
    return picture.crop(picture.getchannel("A").getbbox())


def _scene(names: list[str], random: np.random.Generator, wanted: bool) -> tuple[list[int], dict[str, Any]]:
    """`(indices of cut-outs, attributes)` of one image."""
    while True:
        kinds = ["count", "color"] if wanted else ["count", "color", "relation", "alone"]
        kind = kinds[random.integers(len(kinds))]
        thing = int(random.integers(len(names)))
        scene: dict[str, Any] = {"names": [names[thing]], "count": None, "color": None, "relation": None}
        if kind == "alone":
            return [thing], scene
        if kind == "relation":
            other = int(random.integers(len(names)))
            if names[other] != names[thing]:
                relation = list(_RELATIONS)[random.integers(len(_RELATIONS))]
                return [thing, other], {**scene, "names": [names[thing], names[other]], "relation": relation}
            continue
        words = list(_COUNTS if kind == "count" else TINTS)
        word = words[random.integers(len(words))]
        if _fits(word, names[thing]) and held_out(word, names[thing]) == wanted:
            return [thing] * _COUNTS.get(word, 1), {**scene, kind: word}


def _fits(word, name):
    """Whether a thing of this name can have this count or colour."""
    return not _is_plural(name) if word in _COUNTS else _COLOR_WORDS.isdisjoint(name.split())


def _places(scene: dict[str, Any], random: np.random.Generator | None) -> list[tuple[float, float, float]]:
    """`(x, y, side)` of each cut-out: its centre and longer side, from 0 to 1. Without `random`, places do not vary."""

    def between(low, high):
        return 0.5 * (low + high) if random is None else random.uniform(low, high)

    if scene["relation"]:
        step = np.array(_RELATIONS[scene["relation"]]) * between(0.23, 0.26)
        drift = step[::-1] * between(-0.4, 0.4)
        return [(*(0.5 + sign * step + sign * drift), between(0.36, 0.44)) for sign in (1, -1)]
    if scene["count"]:
        count = _COUNTS[scene["count"]]
        if random is None:
            return [(x, y, 0.37) for x, y in _STILL[count]]
        corners = random.permutation(4)[:count]
        middles = 0.27 + 0.46 * np.stack([corners % 2, corners // 2], axis=1)
        side = random.uniform(0.34, 0.4)
        return [(*middle, side) for middle in middles + random.uniform(-0.015, 0.015, middles.shape)]
    side = between(0.6, 0.9)
    return [(between(side / 2, 1 - side / 2), between(side / 2, 1 - side / 2), side)]


def _tinted(picture: Image.Image, color: tuple[int, int, int]) -> Image.Image:
    """A cut-out in shades of one colour: black stays black, white becomes a light tint."""
    pixels = np.asarray(picture, "float32") / 255.0
    light = pixels[..., :3] @ np.array([0.299, 0.587, 0.114], "float32")
    tint = np.array(color, "float32") / 255.0
    dark = tint * np.minimum(2.0 * light, 1.0)[..., None]
    shaded: Array = dark + (1.0 - tint) * (0.7 * np.maximum(2.0 * light - 1.0, 0.0))[..., None]
    return Image.fromarray(np.rint(255.0 * np.dstack([shaded, pixels[..., 3]])).astype("uint8"), "RGBA")


def _caption(scene):
    names = scene["names"]
    if scene["count"]:
        return f"{scene['count']} {_plural(names[0])}"
    if scene["relation"]:
        return f"{_with_article(names[0])} {scene['relation']} {_with_article(names[1])}"
    return _with_article(f"{scene['color']} {names[0]}" if scene["color"] else names[0])


def _with_article(words):
    if _is_plural(words):
        return words
    return f"{'an' if re.match('(?!uni|eu|one)[aeiou]', words.lower()) else 'a'} {words}"


def _noun_and_rest(name):
    """`("slice", " of pizza")`."""
    noun = re.split(r" (?:of|with|in|on|without)\b", name)[0]
    return noun, name[len(noun) :]


def _is_plural(name):
    return re.search(r"[^suia]s$", _noun_and_rest(name)[0]) is not None


def _plural(name):
    """The name with its main noun in the plural: "slices of pizza", "red apples"."""
    noun, rest = _noun_and_rest(name)
    first, space, last = noun.rpartition(" ")
    if last.lower() in _IRREGULAR:
        return f"{first}{space}{_IRREGULAR[last.lower()]}{rest}"
    if re.search(r"(?:[sxz]|[cs]h)$", noun):
        return f"{noun}es{rest}"
    if re.search(r"[^aeiou]y$", noun):
        return f"{noun[:-1]}ies{rest}"
    return f"{noun}s{rest}"
