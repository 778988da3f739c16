"""A folder of pictures that need no captions, read a batch at a time."""

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np

from kgen.data.read_picture import PICTURE_SUFFIXES, check_picture_options, read_picture

_READ = 1 << 20
# Problems that a warning names.
_NAMED = 10


class PictureFolder:
    """The pictures below a folder (png, jpeg, webp, gif, bmp; any size and mode), read when they are asked for.

    For measuring many pictures in constant memory; to train on a folder use `captioned_folder`. `len` is the number of
    files. What cannot be read is left out with one warning that names it.

    Args:
        path: the folder; sub-folders count, files and folders whose names begin with a dot do not.
        image_size: height and width of what is read, in pixels; pictures are resized with antialiasing.
        channels: 3 (RGB) or 1 (grey).
        background: the colour behind transparent pictures and beside padded ones.
        resize: `"crop"` to the centre square, or `"pad"` to a square.
        limit: read so many pictures at most, the first by name; None for all.
        on_error: `"skip"` what cannot be read, or `"raise"` a ValueError at the first of it.

    Raises:
        ValueError: there is no such folder, no picture in it, or an option is unknown.

    Example:
        >>> folder = kgen.data.PictureFolder("my_pictures", image_size=64)  # doctest: +SKIP
        >>> sum(len(images) for images in folder.batches(256)), len(folder)  # doctest: +SKIP
    """

    def __init__(self, path, image_size, channels=3, background="white", resize="crop", limit=None, on_error="skip"):
        check_picture_options("PictureFolder", image_size, channels, background, resize)
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise ValueError(f"PictureFolder: limit must be a positive integer or None; got {limit!r}.")
        if on_error not in ("skip", "raise"):
            raise ValueError(f'PictureFolder: on_error must be "skip" or "raise"; got {on_error!r}.')
        self.path = existing_folder(path, "PictureFolder")
        self.files = picture_files(self.path, "PictureFolder")[:limit]
        self.image_shape = (int(image_size), int(image_size), channels)
        self.background = background
        self.resize = resize
        self.on_error = on_error

    def __len__(self):
        return len(self.files)

    def batches(self, batch_size):
        """Yields uint8 `(at most batch_size, H, W, C)`, in the order of file names.

        Raises:
            ValueError: nothing can be read; or, with `on_error="raise"`, one picture.
        """
        size, _, channels = self.image_shape
        problems = []
        for start in range(0, len(self.files), batch_size):
            images = []
            for name in self.files[start : start + batch_size]:
                try:
                    images.append(read_picture(self.path / name, size, channels, self.background, self.resize))
                except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
                    problems.append(f"{name}: {type(error).__name__}: {error}")
                    if self.on_error == "raise":
                        raise ValueError(
                            f"PictureFolder: unreadable picture in '{self.path}': {problems[0]}"
                        ) from error
            if images:
                yield np.stack(images)
        if len(problems) == len(self.files):
            raise ValueError(f"PictureFolder: no picture in '{self.path}' could be read. {problems[0]}")
        if problems:
            more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
            warnings.warn(
                f"PictureFolder: left out {len(problems)} unreadable of {len(self.files)} pictures in '{self.path}': "
                f"{'; '.join(problems[:_NAMED])}{more}",
                stacklevel=2,
            )

    def fingerprint(self):
        """SHA-256 of names and contents of the files."""
        digest = hashlib.sha256()
        for name in self.files:
            content = hashlib.sha256()
            with open(self.path / name, "rb") as file:
                while block := file.read(_READ):
                    content.update(block)
            digest.update(os.fsencode(name) + b"\0" + content.digest())
        return digest.hexdigest()


def existing_folder(path, owner):
    """`path` as a `pathlib.Path`; raises ValueError, in the name of `owner`, unless it is a folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise ValueError(f"{owner}: path must be a folder of pictures; '{folder}' {found}.")
    return folder


def picture_files(folder, owner):
    """Names (relative, with `/`, sorted) of the pictures below a folder; raises ValueError if there are none."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    paths = (path.relative_to(folder) for path in files)
    pictures = sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    if not pictures:
        raise ValueError(
            f"{owner}: there are no pictures in '{folder}'; expected files ending in {', '.join(PICTURE_SUFFIXES)}, in "
            "it or its sub-folders."
        )
    return pictures
