"""A folder of images without captions, read a batch at a time."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kgen import checks
from kgen.data.read_image import Color, check_image_options, is_image_name, read_image
from kgen.types import Array

_READ = 1 << 20
# Problems that a warning names.
_NAMED = 10
# Files that are hidden on the systems that create them.
_OF_SYSTEMS = ("Thumbs.db", "desktop.ini")


class ImageFolder:
    """The images in a folder (of any format that Pillow reads, any size and mode), read only when needed.

    Use it to measure many images in constant memory. To train on captions, use `captioned_folder`. `len` is the number
    of files. Images that cannot be read, such as .heic and .svg, are left out, with one warning that names them.

    Args:
        path: the folder; sub-folders are included, files and folders whose names begin with a dot are not.
        image_size: height and width of the result in pixels; images are resized with antialiasing.
        channels: 3 (RGB) or 1 (grey).
        background: the colour behind transparent images and around padded ones.
        resize: `"crop"` to the centre square, or `"pad"` to a square.
        limit: the largest number of images to read, the first by name; None for all.
        on_error: `"skip"` what cannot be read, or `"raise"` a ValueError at the first problem.
        follow_links: whether to read links that lead out of the folder, as in Hugging Face's cache. Otherwise they are
            left out: a downloaded folder could link to any file on this machine.

    Raises:
        ValueError: the folder does not exist or has no images, or an option is unknown.

    Example:

    ```python
    folder = kgen.data.ImageFolder("my_images", image_size=64)
    for images in folder.batches(256):
        distance.update_state(real, images)
    ```
    """

    def __init__(
        self,
        path: str | os.PathLike,
        image_size: int,
        channels: int = 3,
        background: Color = "white",
        resize: str = "crop",
        limit: int | None = None,
        on_error: str = "skip",
        follow_links: bool = False,
    ):
        image_size = check_image_options("ImageFolder", image_size, channels, background, resize)
        if limit is not None:
            limit = checks.integer("ImageFolder", "limit", limit)
        if on_error not in ("skip", "raise"):
            raise ValueError(f'ImageFolder: on_error must be "skip" or "raise"; got {on_error!r}.')
        self.path = existing_folder(path, "ImageFolder")
        self.files = image_files(self.path, "ImageFolder", follow_links)[:limit]
        self.image_shape = (image_size, image_size, channels)
        self.background = background
        self.resize = resize
        self.on_error = on_error

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, batch_size: int) -> Iterator[Array]:
        """Yields uint8 `(at most batch_size, H, W, C)`, in the order of file names.

        Raises:
            ValueError: if no image can be read, or, with `on_error="raise"`, if any cannot.
        """
        size, _, channels = self.image_shape
        problems: list[str] = []
        for start in range(0, len(self.files), batch_size):
            images = []
            for name in self.files[start : start + batch_size]:
                try:
                    images.append(read_image(self.path / name, size, channels, self.background, self.resize))
                except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
                    problems.append(f"{name}: {type(error).__name__}: {checks.one_line(error)}")
                    if self.on_error == "raise":
                        raise ValueError(f"ImageFolder: unreadable image in '{self.path}': {problems[0]}") from error
            if images:
                yield np.stack(images)
        if len(problems) == len(self.files):
            raise ValueError(f"ImageFolder: no image in '{self.path}' could be read. {problems[0]}")
        if problems:
            more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            warnings.warn(
                f"ImageFolder: skipped {len(problems)} unreadable images of {len(self.files)} in '{self.path}': "
                f"{'; '.join(problems[:_NAMED])}{more}",
                stacklevel=2,
            )

    def fingerprint(self) -> str:
        """SHA-256 of the files' names and contents."""
        digest = hashlib.sha256()
        for name in self.files:
            content = hashlib.sha256()
            with open(self.path / name, "rb") as file:
                while block := file.read(_READ):
                    content.update(block)
            digest.update(os.fsencode(name) + b"\0" + content.digest())
        return digest.hexdigest()


def existing_folder(path: str | os.PathLike, owner: str) -> Path:
    """`path` as a `pathlib.Path`; raises a ValueError that begins with `owner` unless it is a folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{owner}: path must be a folder of images; '{folder}' {found}.")
    return folder


def visible_files(folder: Path, follow_links: bool = False) -> list[str]:
    """Names (relative, with `/`, sorted) of all files in a folder and its sub-folders, except hidden ones.

    Links that lead out of the folder are left out, unless `follow_links`.
    """
    names = _all_visible(folder)
    return names if follow_links else [name for name in names if not _is_link_out(folder, name)]


def links_out(folder: Path) -> list[str]:
    """Names of the visible files that are links out of the folder."""
    return [name for name in _all_visible(folder) if _is_link_out(folder, name)]


def leads_out(folder: Path, name: str) -> bool:
    """Whether a file, or a folder that contains it, is a link to a place outside `folder`."""
    return not (folder / name).resolve().is_relative_to(folder.resolve())


def _is_link_out(folder, name):
    # Linked sub-folders are not searched.
    return (folder / name).is_symlink() and leads_out(folder, name)


def is_file(path: Path) -> bool:
    """Whether the file exists; False if its name is too long for the system."""
    try:
        return path.is_file()
    except OSError:
        return False


def _all_visible(folder):
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    visible = (
        path.as_posix()
        for path in paths
        if path.name not in _OF_SYSTEMS and not any(part.startswith(".") for part in path.parts)
    )
    return sorted(visible, key=same_name)


def image_files(folder: Path, owner: str, follow_links: bool = False) -> list[str]:
    """The `visible_files` with an image's file ending; raises a ValueError if there are none."""
    images = [name for name in visible_files(folder, follow_links) if is_image_name(name)]
    if not images:
        out = len(links_out(folder))
        links = f" {out} files are links that lead out of it: follow_links=True reads them." if out else ""
        raise ValueError(
            f"{owner}: there are no images in '{folder}'; expected files ending in .png, .jpg, .webp, .tif or "
            f"another suffix that Pillow reads, in it or its sub-folders.{links}"
        )
    return images


def same_name(name: str) -> str:
    """A file's name in one Unicode form: macOS may write an accent as a separate character."""
    return unicodedata.normalize("NFC", name)
