"""Drawings of coloured shapes with captions, to measure how well images match text."""

from __future__ import annotations

from typing import Literal, overload

import numpy as np

from kgen import checks
from kgen.data.captioned_images import CaptionedImages
from kgen.data.pixel_store import pixel_store
from kgen.data.shapes_drawing import BACKGROUNDS, COLORS, SHAPES, SIZES, coverage
from kgen.types import Array

# Never drawn for training: each colour once, each shape at least once.
HELD_OUT = (
    ("red", "star"),
    ("orange", "circle"),
    ("yellow", "cross"),
    ("green", "ring"),
    ("blue", "triangle"),
    ("purple", "square"),
    ("pink", "star"),
    ("grey", "circle"),
)
_SEEN = tuple((color, shape) for color in COLORS for shape in SHAPES if (color, shape) not in HELD_OUT)
SPLITS = ("train", "seen", "held_out")
MASK_NAMES = ("background", *SHAPES)
RELATIONS = {"above": (0, -1), "below": (0, 1), "left of": (-1, 0), "right of": (1, 0)}  # where the first object is

_OPPOSITE = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}
_WORDINGS = {
    "above": ("above", "over", "on top of"),
    "below": ("below", "under", "beneath"),
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
    "grey": ("grey", "gray"),
    "navy": ("navy", "dark blue"),
    "circle": ("circle", "disc"),
    "cross": ("cross", "plus sign"),
}
_NUMBERS = ("zero", "one", "two", "three", "four")
_CAPTIONS_PER_IMAGE = 3


@overload
def captioned_shapes(
    n: int, image_size: int = 32, seed: int = 0, split: str = "train", masks: Literal[False] = False
) -> CaptionedImages: ...
@overload
def captioned_shapes(
    n: int, image_size: int = 32, seed: int = 0, split: str = "train", *, masks: Literal[True]
) -> tuple[CaptionedImages, Array]: ...
def captioned_shapes(n, image_size=32, seed=0, split="train", masks=False):
    """Draws images of coloured shapes, with captions in varied words.

    An image shows one object, two to four identical ones ("three small red circles"), or two in a relation ("a large
    red circle above a small blue square"), on a white, black or navy background. There are 8 colours, 6 shapes and 2
    sizes; place, size and brightness vary a little. `attributes` has everything that a caption can say, as
    `{"background": ..., "relation": ... or None, "objects": [{"count", "size", "color", "shape"}, ...]}`, and
    `read_shapes` reads it from an image.

    Eight pairs of colour and shape (`HELD_OUT`) never occur in the training split. A model that draws them from words
    has learned colour and shape separately.

    Args:
        n: number of images.
        image_size: height and width in pixels, at least 16; `read_shapes` is reliable from 32 on.
        seed: integer of at least 0. Image i depends only on the seed, the split and i.
        split: `"train"`; `"seen"`, other images of the same kinds, for testing; or `"held_out"`, images that each show
            at least one of the held-out pairs.
        masks: whether to also return the class of each pixel: the shape that covers at least half of it.

    Returns:
        A `CaptionedImages` of uint8 `(n, image_size, image_size, 3)` with one to three captions per image and
        `attributes`. With `masks`, a pair: this, and uint8 `(n, image_size, image_size)` with indices into
        `MASK_NAMES`; 0 is the background.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> data = captioned_shapes(2, image_size=32)
        >>> data.images.shape
        (2, 32, 32, 3)
    """
    n = checks.integer("captioned_shapes", "n", n)
    image_size = checks.integer("captioned_shapes", "image_size", image_size, 16)
    seed = checks.integer("captioned_shapes", "seed", seed, 0)
    if split not in SPLITS:
        raise ValueError(f"captioned_shapes: split must be one of {', '.join(SPLITS)}; got {split!r}.")
    images = pixel_store((n, image_size, image_size, 3))
    masked = np.zeros((n, image_size, image_size) if masks else 0, "uint8")
    captions, attributes = [], []
    for i in range(n):
        random = np.random.default_rng([seed, SPLITS.index(split), i])
        scene = _scene(random, split)
        images[i] = draw_scene(scene, image_size, random, masked[i] if masks else None)
        captions.append(list(dict.fromkeys(_caption(scene, random) for _ in range(_CAPTIONS_PER_IMAGE))))
        attributes.append(scene)
    data = CaptionedImages(images, captions, attributes=attributes)
    return (data, masked) if masks else data


def draw_scene(scene, image_size, random, mask=None):
    """Draws one image with given attributes.

    Args:
        scene: attributes as in `captioned_shapes`.
        image_size: height and width in pixels.
        random: `np.random.Generator` for everything that the attributes leave open.
        mask: zeros `(image_size, image_size)`, which are filled with indices into `MASK_NAMES`; or None.

    Returns:
        uint8 `(image_size, image_size, 3)`.
    """
    image = np.empty((image_size, image_size, 3), "float32")
    image[:] = BACKGROUNDS[scene["background"]]
    things = [thing for thing in scene["objects"] for _ in range(thing["count"])]
    for thing, (x, y) in zip(things, _centers(scene, random), strict=True):
        radius = SIZES[thing["size"]] * random.uniform(0.96, 1.04)
        color = np.array(COLORS[thing["color"]]) + random.uniform(-10, 10)
        covered = coverage(thing["shape"], (x * image_size, y * image_size), radius * image_size, image_size)
        image += covered[..., None] * (np.clip(color, 0, 255) - image)
        if mask is not None:
            mask[covered >= 0.5] = MASK_NAMES.index(thing["shape"])
    return image.round().astype("uint8")


def _scene(random, split):
    kind = random.choice(["one", "several", "pair"], p=[0.25, 0.25, 0.5])
    objects = [_object(random, held_out=False) for _ in range(2 if kind == "pair" else 1)]
    if split == "held_out":
        objects[random.integers(len(objects))] = _object(random, held_out=True)
    while kind == "pair" and objects[0] == objects[1]:  # "a red circle above a red circle" is two red circles
        objects[1] = _object(random, held_out=False)
    if kind == "several":
        objects[0]["count"] = int(random.integers(2, 5))
    return {
        "background": str(random.choice(list(BACKGROUNDS), p=[0.6, 0.2, 0.2])),
        "relation": str(random.choice(list(RELATIONS))) if kind == "pair" else None,
        "objects": objects,
    }


def _object(random, held_out):
    pairs = HELD_OUT if held_out else _SEEN
    color, shape = pairs[random.integers(len(pairs))]
    return {"count": 1, "size": str(random.choice(list(SIZES))), "color": color, "shape": shape}


def _centers(scene, random):
    """Centres of the objects, from 0 to 1, such that they touch neither each other nor the edge."""
    size = scene["objects"][0]["size"]
    if scene["relation"]:
        along = np.array(RELATIONS[scene["relation"]])
        across = along[::-1]  # a sideways shift, far smaller than their distance
        middle = 0.5 + random.uniform(-0.01, 0.01) * along + random.uniform(-0.08, 0.08) * across
        offset = random.uniform(0.24, 0.25) * along + random.uniform(-0.08, 0.08) * across
        return [middle + offset, middle - offset]
    count = scene["objects"][0]["count"]
    if count == 1:
        margin = 0.16 if size == "small" else 0.26
        return [random.uniform(margin, 1 - margin, 2)]
    cells = random.permutation(4)[:count]  # a quarter of the image each
    jitter = 0.09 if size == "small" else 0.01
    corners = np.stack([cells % 2, cells // 2], axis=1)
    return list(0.25 + 0.5 * corners + random.uniform(-jitter, jitter, (count, 2)))


def _caption(scene, random):
    phrases = [_phrase(thing, random) for thing in scene["objects"]]
    relation = scene["relation"]
    if relation:
        if random.random() < 0.3:  # the same image described from the other side
            phrases, relation = phrases[::-1], _OPPOSITE[relation]
        text = f"{phrases[0]} {_word(relation, random)} {phrases[1]}"
    else:
        text = phrases[0]
    if scene["background"] != "white" or random.random() < 0.3:
        background = _word(scene["background"], random)
        text += random.choice([f" on a {background} background", f" on {background}"])
    return str(text)


def _phrase(thing, random):
    words = f"{_word(thing['size'], random)} {_word(thing['color'], random)} {_word(thing['shape'], random)}"
    if thing["count"] > 1:
        return f"{_NUMBERS[thing['count']]} {words}" + ("es" if words.endswith("s") else "s")
    return f"{'a' if random.random() < 0.8 else _NUMBERS[1]} {words}"


def _word(word, random):
    return random.choice(_WORDINGS.get(word, (word,)))
