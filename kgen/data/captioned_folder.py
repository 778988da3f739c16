"""A folder of images with captions, as a data set."""

from __future__ import annotations

import os
import warnings

from kgen.checks import one_line
from kgen.data.captioned_images import CaptionedImages
from kgen.data.folder_captions import folder_captions
from kgen.data.image_folder import existing_folder
from kgen.data.pixel_store import pixel_store
from kgen.data.read_image import Color, check_image_options, read_image
from kgen.progress import Progress


def captioned_folder(
    path: str | os.PathLike,
    image_size: int = 64,
    channels: int = 3,
    background: Color = "white",
    resize: str = "crop",
    on_error: str = "skip",
    verbose: int | str = "auto",
    follow_links: bool = False,
) -> CaptionedImages:
    """Loads the images in a folder (of any format that Pillow reads, any size and mode) with their captions.

    Captions come from the first of these that exists:

    - `captions.csv`, `metadata.csv` (columns `file_name`, `text`) or `metadata.jsonl` (keys `file_name`, `text`;
      `text` may be a list), UTF-8. Several rows for one file are several captions.
    - a text file with the image's name, one caption per line (for `cat.png`: `cat.txt`, `cat.png.txt` or `cat.caption`;
      the ending may be upper or lower case).
    - the name of the sub-folder that holds the image (`black_cat/7.png`: "black cat").

    Nothing is dropped silently. Broken or missing images, images that Pillow does not read (such as .heic and .svg),
    empty captions, duplicate rows, images without a caption and files that are neither images nor captions are named in
    one warning, and `.report` of the result has a line for each. Hidden files are ignored. File names are compared in
    one Unicode form. Above 1 GiB, pixels are kept in a temporary file instead of in memory.

    Args:
        path: the folder; sub-folders are included.
        image_size: height and width of the result in pixels; images are resized with antialiasing.
        channels: 3 (RGB) or 1 (grey).
        background: the colour behind transparent images and around padded ones: a name, `"#rrggbb"` or `(r, g, b)`.
        resize: `"crop"` to the centre square, or `"pad"` to a square.
        on_error: `"skip"` what cannot be used, or `"raise"` a ValueError at the first problem.
        verbose: progress bar: 0: never; 1: always; "auto": after two seconds.
        follow_links: whether to read links that lead out of the folder, as in Hugging Face's cache. Otherwise each such
            link is a problem: a downloaded folder could link to any file on this machine.

    Returns:
        A `CaptionedImages` of uint8 `(N, image_size, image_size, channels)`.

    Raises:
        ValueError: the folder does not exist, nothing in it can be used, or an option is unknown; with
            `on_error="raise"`, at the first problem.

    Example:
        >>> data = kgen.data.captioned_folder("my_images", image_size=64)  # doctest: +SKIP
        >>> model.fit(data.as_dataset(batch_size=32), epochs=50)  # doctest: +SKIP
    """
    image_size = check_image_options("captioned_folder", image_size, channels, background, resize)
    if on_error not in ("skip", "raise"):
        raise ValueError(f'captioned_folder: on_error must be "skip" or "raise"; got {on_error!r}.')
    folder = existing_folder(path, "captioned_folder")
    report: list[str] = []

    def problem(file_name, what):
        file_name, what = one_line(file_name), one_line(what)
        if on_error == "raise":
            raise ValueError(
                f"captioned_folder: {file_name}: {what}, in '{folder}'. Pass on_error=\"skip\" to go on without it."
            )
        report.append(f"{file_name}: {what}")

    captions = folder_captions(folder, problem, follow_links)
    images = pixel_store((len(captions), image_size, image_size, channels))
    progress = Progress(len(captions), "image", verbose)
    kept: list[str] = []
    for file_name in captions:
        try:
            images[len(kept)] = read_image(folder / file_name, image_size, channels, background, resize)
            kept.append(file_name)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
            problem(file_name, f"unreadable image ({type(error).__name__}: {error})")
        progress.add(1)
    summary = f"{len(report)} problems in '{folder}': " + "; ".join(report[:10])
    summary += f"; and {len(report) - 10} more" if len(report) > 10 else ""
    if not kept:
        raise ValueError(f"captioned_folder: no image could be used. {summary}.")
    if report:
        warnings.warn(f"captioned_folder: {summary}. All are in `.report`.", stacklevel=2)
    return CaptionedImages(images[: len(kept)], [captions[name] for name in kept], kept, report=report)
