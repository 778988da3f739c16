"""Drawn people made of named parts: captions leave things out, and parts combine freely."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np

from kgen import checks
from kgen.data.avatar_styles import AVATAR_STYLES, AvatarStyle
from kgen.data.captioned_images import CaptionedImages
from kgen.data.captioned_shapes import SPLITS
from kgen.data.read_image import Color, check_image_options
from kgen.data.rendered import check_packages, rendered

_PACKAGES = {"dicebear": "dicebear-core", "dicebear_styles": "dicebear-styles", "resvg_py": "resvg-py"}
# How likely a caption is to mention an attribute. About half of all captions leave out half or more of them.
_SAID = 0.6
_OPENINGS = {
    "en": ("a person", "someone", "a portrait of a person", "an avatar", ""),
    "zh": ("一个人，", "一个卡通人物，", "人物头像：", ""),
}


def avatars(
    n: int,
    image_size: int = 128,
    seed: int = 0,
    style: str = "personas",
    split: str = "train",
    languages: Sequence[str] = ("en",),
    background: Color = "white",
    cache_directory: str | os.PathLike | None = None,
    verbose: int | str = "auto",
    captions: int = 2,
) -> CaptionedImages:
    """Draws people made of named parts, with captions that mention some of them.

    An avatar has hair, eyes or glasses, a mouth, perhaps a hat or a beard, clothes, and colours for these; `attributes`
    lists them. Each caption mentions a random choice of parts, so many images fit a caption: "a person with short red
    curls and sunglasses" says nothing about the clothes. Some pairs of parts, `HELD_OUT_AVATARS`, never occur in the
    training split: a model that draws them from words has learned the parts separately.

    The drawings come from DiceBear (packages `dicebear-core` and `dicebear-styles`), the pixels from `resvg-py`;
    `pip install "keras-kgen[demo]"` installs all three. Only the first call renders: the pixels are cached.

    Licences ask you to name the authors wherever you show these images or what you make from them: "personas" is a
    remix of Personas by Draftbit, "big_smile" one of Custom Avatar by Ashley Seo, both under CC BY 4.0.

    Args:
        n: number of images.
        image_size: height and width in pixels.
        seed: integer of at least 0. Image i depends only on the style, the seed, the split and i.
        style: "personas" or "big_smile".
        split: `"train"`; `"seen"`, other images of the same kinds, for testing; or `"held_out"`, images that each show
            a held-out pair, which their first caption mentions.
        languages: languages of the captions: "en", "zh", or both.
        background: the colour behind the drawing: a name, `"#rrggbb"` or `(r, g, b)`.
        cache_directory: where rendered pixels are kept; see `kgen.data.openmoji`.
        verbose: progress bar while rendering: 0: never; 1: always; "auto": after two seconds.
        captions: how many captions each image has in each language.

    Returns:
        A `CaptionedImages` of uint8 `(n, image_size, image_size, 3)`. `attributes` are dicts from the name of an
        attribute to its value, None for a part that is absent or hidden; "named" has, for each caption, a list of the
        attributes that it mentions.

    Raises:
        ImportError: one of the three packages is missing.
        ValueError: an argument is out of its range.

    Example:

    ```python
    data = kgen.data.avatars(1000, image_size=128, languages=("en", "zh"))
    data.captions[0]            # ["a person with ...", ..., "一个人，..."]
    data.attributes[0]["hair"]  # "pigtails"
    ```
    """
    n = checks.integer("avatars", "n", n)
    image_size = check_image_options("avatars", image_size, 3, background, "crop")
    seed = checks.integer("avatars", "seed", seed, 0)
    if style not in AVATAR_STYLES:
        raise ValueError(f"avatars: style must be one of {', '.join(map(repr, AVATAR_STYLES))}; got {style!r}.")
    if split not in SPLITS:
        raise ValueError(f"avatars: split must be one of {', '.join(map(repr, SPLITS))}; got {split!r}.")
    languages = [languages] if isinstance(languages, str) else list(languages)
    if not languages or set(languages) - set(_OPENINGS):
        raise ValueError(f"avatars: languages must be 'en', 'zh' or both; got {languages}.")
    captions = checks.integer("avatars", "captions", captions)
    check_packages("avatars", _PACKAGES)
    drawn, attributes, texts = AVATAR_STYLES[style], [], []
    for i in range(n):
        random = np.random.default_rng([seed, SPLITS.index(split), i])
        person, pair = random_person(drawn, random, split == "held_out")
        said = [_said(drawn, person, [] if number else pair, random) for number in range(captions)]
        texts.append([_caption(drawn, person, names, language, random) for language in languages for names in said])
        attributes.append({**person, "named": said * len(languages)})
    images = rendered(
        f"avatars-{style}",
        _drawings(drawn, attributes),
        n,
        json.dumps([drawn, seed, split, n], default=str),
        ["dicebear-core", "dicebear-styles"],
        image_size,
        background,
        cache_directory,
        verbose,
    )
    return CaptionedImages(images, texts, attributes=attributes)


HELD_OUT_AVATARS = {name: style.held_out for name, style in AVATAR_STYLES.items()}


def random_person(style: AvatarStyle, random: np.random.Generator, held_out: bool) -> tuple[dict[str, Any], list[str]]:
    """`(attributes, names of the held-out pair)` of one avatar for `avatars` to draw.

    Args:
        style: one of `AVATAR_STYLES`, or your own.
        random: NumPy's generator.
        held_out: whether the person shows exactly one of the style's held-out pairs, or none.
    """
    pair = style.held_out[random.integers(len(style.held_out))] if held_out else ()
    names = [name for name, _ in pair]
    while True:
        person = {}
        for name, attribute in style.attributes.items():
            values = [value for value in attribute.choices if value is not None]
            value = values[random.integers(len(values))]
            person[name] = None if random.random() < style.left_out.get(name, 0.0) else value
        person.update(pair)
        for name, attribute in style.attributes.items():
            if person[name] and (hidden := attribute.choices[person[name]].hides):
                person[hidden] = None
        # A choice without a colour, such as a bald head, has no colour attribute.
        for color, part in _parts_by_color(style).items():
            if "{color}" not in style.attributes[part].choices[person[part]].english:
                person[color] = None
        shown = [each for each in style.held_out if all(person[name] == value for name, value in each)]
        if shown == ([pair] if held_out else []):
            return person, names


def _parts_by_color(style):
    return {part.color: name for name, part in style.attributes.items() if part.color}


def _said(style, person, pair, random):
    """Names of the attributes that a caption mentions, always including those of a pair."""
    parts_by_color = _parts_by_color(style)
    can = [name for name, part in style.attributes.items() if person[name] and part.choices[person[name]].english]
    parts = [name for name in can if name not in parts_by_color]
    said = {name for name in parts if random.random() < _SAID} or {parts[random.integers(len(parts))]}
    said |= {parts_by_color.get(name, name) for name in pair}
    # A colour is mentioned only together with its part.
    colors = {color for color, part in parts_by_color.items() if color in can and part in said}
    said |= {color for color in sorted(colors) if color in pair or random.random() < _SAID}
    return [name for name in style.attributes if name in said]


def _caption(style, person, names, language, random):
    """A caption that mentions the attributes with these names."""

    def words(name):
        choice = style.attributes[name].choices[person[name]]
        return choice.english if language == "en" else choice.chinese

    has, wears = [], []
    for name in names:
        color = style.attributes[name].color
        if name not in _parts_by_color(style):
            phrase = words(name).replace("{color}", words(color) if color in names else "")
            phrase = re.sub(r"\ba (?=[aeiou])", "an ", " ".join(phrase.split()))
            (wears if name == "clothes" else has).append(phrase)
    has = [has[i] for i in random.permutation(len(has))]
    opening = _OPENINGS[language][random.integers(len(_OPENINGS[language]))]
    if language == "zh":
        return opening + "，".join(has + wears)
    if not opening:
        return ", ".join(has + wears)
    listed = " and ".join([", ".join(has[:-1]), has[-1]] if has[1:] else has)
    dressed = "".join(f"{',' * bool(has)} wearing {phrase}" for phrase in wears)
    return opening + f" with {listed}" * bool(has) + dressed


def _drawings(style, people):
    """A function that returns the SVG of avatar i."""
    from dicebear import Avatar, Style

    text = resources.files("dicebear_styles").joinpath(f"{style.file}.json").read_text(encoding="utf-8")
    definition = Style(json.loads(text))

    def svg_of(i: int) -> str:
        options = {"seed": str(i), **style.fixed}
        for name, attribute in style.attributes.items():
            value = people[i][name]
            drawn = None if value is None else attribute.choices[value].drawn
            for option in attribute.options:
                if drawn is not None:
                    options[option] = [drawn]
                if None in attribute.choices:
                    options[option.replace("Variant", "Probability")] = 0 if drawn is None else 100
        return Avatar(definition, options).to_string()

    return svg_of
