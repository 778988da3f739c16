"""Icon sets from npm: the same things drawn in several styles."""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kgen.data.captioned_images import CaptionedImages
from kgen.data.read_image import Color, check_image_options
from kgen.data.rendered import check_packages, rendered

_SKIN_TONE = re.compile(r"-(?:(?:medium-)?(?:light|dark)|medium)$")  # in sets that leave out "skin tone"


class _Icon(NamedTuple):
    name: str
    names: tuple[str, ...]
    style: str
    group: str | None
    file_name: str
    svg: str


def icons(
    directories: str | os.PathLike | Sequence[str | os.PathLike],
    image_size: int = 128,
    styles: bool = True,
    groups: str | Iterable[str] | None = None,
    background: Color | None = "white",
    cache_directory: str | os.PathLike | None = None,
    verbose: int | str = "auto",
) -> CaptionedImages:
    """Loads icon sets of Iconify, with icon names as captions, and optionally the style in words.

    A directory is an unpacked npm package of Iconify's JSON data: `npm install @iconify-json/noto` makes
    `node_modules/@iconify-json/noto`. Emoji sets such as noto, twemoji, fluent-emoji-flat and openmoji share most of
    their names, so a model can learn what "in Noto style" means. The pixels come from `resvg-py`, which is in the extra
    `demo`. Only the first call renders: the pixels are cached. Each set has its own licence, named in its `info.json`.

    Hidden icons and skin-tone variants are left out.

    Args:
        directories: one directory, or several.
        image_size: height and width in pixels.
        styles: whether each icon also has a caption that names its style: "black cat in Noto style".
        groups: which groups of the sets to load, such as "animals-nature" or "food-drink"; None: all but flags and a
            set's own extras.
        background: the colour behind the drawing: a name, `"#rrggbb"` or `(r, g, b)`; None: cut-outs for
            `kgen.data.compose`, with a fourth channel that marks the drawing.
        cache_directory: where rendered pixels are kept; see `kgen.data.openmoji`.
        verbose: progress bar while rendering: 0: never; 1: always; "auto": after two seconds.

    Returns:
        A `CaptionedImages` of uint8 `(N, image_size, image_size, 3)`, or 4 channels without a background. `attributes`
        are dicts of `name`, `style` and `group`.

    Raises:
        FileNotFoundError: a directory is not such a package.
        ImportError: `resvg-py` is missing.
        ValueError: a file is damaged, no icon is left, or an argument is out of its range.

    Example:

    ```python
    data = kgen.data.icons(["node_modules/@iconify-json/noto", "node_modules/@iconify-json/twemoji"])
    data.captions[0]        # ["1st place medal", "1st place medal in Noto style"]
    ```
    """
    image_size = check_image_options("icons", image_size, 3, background or "white", "crop")
    check_packages("icons", {"resvg_py": "resvg-py"})
    directories = [directories] if isinstance(directories, (str, os.PathLike)) else list(directories)
    loaded = [icon for directory in directories for icon in _icons(Path(directory))]
    known = sorted({icon.group for icon in loaded if icon.group})
    if groups is None:
        wanted = {None, *known} - {group for group in known if group == "flags" or group.startswith("extras")}
    else:
        wanted = {groups} if isinstance(groups, str) else set(groups)
        if not wanted or wanted - set(known):
            raise ValueError(f"icons: groups must be among {', '.join(known)}; got {sorted(wanted, key=str)}.")
    chosen = [icon for icon in loaded if icon.group in wanted]
    if not chosen:
        raise ValueError(
            f"icons: there are no icons in {', '.join(map(str, directories)) or 'an empty list of directories'}."
        )
    images = rendered(
        "icons",
        lambda i: chosen[i].svg,
        len(chosen),
        str([(icon.file_name, zlib.crc32(icon.svg.encode())) for icon in chosen]),
        [],
        image_size,
        background,
        cache_directory,
        verbose,
    )
    return CaptionedImages(
        images,
        [[*icon.names, *[f"{icon.name} in {icon.style} style"] * styles] for icon in chosen],
        [icon.file_name for icon in chosen],
        attributes=[{"name": icon.name, "style": icon.style, "group": icon.group} for icon in chosen],
    )


def _icons(directory: Path) -> list[_Icon]:
    """The icons of a package, without hidden ones and skin-tone variants."""
    data, info, metadata = (_read(directory / f"{name}.json") for name in ("icons", "info", "metadata"))
    try:
        bodies, aliases = data["icons"], data.get("aliases", {})
        groups = {name: _slug(group) for group, names in metadata.get("categories", {}).items() for name in names}
        others: dict[str, list[str]] = {}
        for alias, of in aliases.items():
            # An alias with other keys is rotated or flipped: a different drawing.
            if set(of) == {"parent"}:
                others.setdefault(of["parent"], []).append(_words(alias))
        style = " ".join(info["name"].replace("Emoji", " ").split())
        icons = []
        for name, icon in bodies.items():
            toned = "-skin-tone" in name or _SKIN_TONE.sub("", name) in bodies.keys() - {name}
            if icon.get("hidden") or toned:
                continue
            left, top, width, height = (
                icon.get(key, data.get(key, default))
                for key, default in (("left", 0), ("top", 0), ("width", 16), ("height", 16))
            )
            # A centred square.
            side = max(width, height)
            box = f"{left - (side - width) / 2} {top - (side - height) / 2} {side} {side}"
            svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{box}">'
            names = (_words(name), *others.get(name, ()))
            file_name = f"{data['prefix']}:{name}"
            icons.append(_Icon(names[0], names, style, groups.get(name), file_name, f"{svg}{icon['body']}</svg>"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"icons: {directory} holds no Iconify icon set: {error!r}.") from error
    return icons


def _read(path: Path) -> Any:
    if not path.is_file():
        if path.stem == "metadata":  # sets without groups have none
            return {}
        raise FileNotFoundError(
            f"icons: {path.parent} holds no Iconify package: {path.name} is missing. "
            "`npm install @iconify-json/noto` creates node_modules/@iconify-json/noto."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"icons: {path} is damaged: {error}.") from error


def _words(name):
    return name.replace("-", " ")


def _slug(group):
    return re.sub(r"[^a-z]+", "-", group.lower()).strip("-")
