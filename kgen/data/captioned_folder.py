"""A person's own folder of pictures and captions."""

import warnings

from kgen.data.captioned_images import CaptionedImages
from kgen.data.folder_captions import folder_captions
from kgen.data.picture_folder import existing_folder
from kgen.data.pixel_store import pixel_store
from kgen.data.read_picture import check_picture_options, read_picture

_MANY_PICTURES = 200  # from here on reading takes long enough to deserve a progress bar


def captioned_folder(path, image_size=64, channels=3, background="white", resize="crop", on_error="skip", verbose=True):
    """Loads the pictures below a folder (png, jpeg, webp, gif, bmp; any size and mode) with their captions.

    Captions come from the first of these that is there:

    - `captions.csv`, `metadata.csv` (columns `file_name`, `text`) or `metadata.jsonl` (keys `file_name`, `text`;
      `text` may be a list), UTF-8. Several rows for a file are several captions.
    - a text file of the picture's name (`cat.png`, `cat.txt`), a caption a line.
    - the name of the sub-folder a picture lies in (`black_cat/7.png`: "black cat").

    What cannot be used (a broken or missing picture, an empty caption, a duplicate row, a picture without caption) is
    never dropped silently: one warning names the files, and `.report` of the result has a line for each.
    Above 1 GiB of pixels the result is kept in a temporary file instead of in memory.

    Args:
        path: the folder.
        image_size: height and width of the result in pixels; pictures are resized with antialiasing.
        channels: 3 (RGB) or 1 (grey).
        background: the colour behind transparent pictures and beside padded ones: a name, `"#rrggbb"` or `(r, g, b)`.
        resize: `"crop"` to the centre square, or `"pad"` to a square.
        on_error: `"skip"` what cannot be used, or `"raise"` a ValueError at the first of it.
        verbose: whether to show a progress bar for more than 200 pictures.

    Returns:
        A `CaptionedImages` of uint8 `(N, image_size, image_size, channels)`.

    Raises:
        ValueError: there is no such folder, nothing usable in it, an option is unknown, or `on_error="raise"`.

    Example:
        >>> data = kgen.data.captioned_folder("my_pictures", image_size=64)  # doctest: +SKIP
        >>> model.fit(data.as_dataset(batch_size=32), epochs=50)  # doctest: +SKIP
    """
    check_picture_options("captioned_folder", image_size, channels, background, resize)
    if on_error not in ("skip", "raise"):
        raise ValueError(f'captioned_folder: on_error must be "skip" or "raise"; got {on_error!r}.')
    folder = existing_folder(path, "captioned_folder")
    report = []

    def problem(file_name, what):
        if on_error == "raise":
            raise ValueError(
                f"captioned_folder: {file_name}: {what}, in '{folder}'. on_error=\"skip\" goes on without it."
            )
        report.append(f"{file_name}: {what}")

    captions = folder_captions(folder, problem)
    images = pixel_store((len(captions), image_size, image_size, channels))
    progress = _progress_bar(len(captions)) if verbose and len(captions) > _MANY_PICTURES else None
    kept = []
    for file_name in captions:
        try:
            images[len(kept)] = read_picture(folder / file_name, image_size, channels, background, resize)
            kept.append(file_name)
        except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
            problem(file_name, f"unreadable picture ({type(error).__name__}: {error})")
        if progress:
            progress.add(1)
    summary = f"{len(report)} problems in '{folder}': " + "; ".join(report[:10])
    summary += f"; and {len(report) - 10} more" if len(report) > 10 else ""
    if not kept:
        raise ValueError(f"captioned_folder: no picture could be used. {summary}.")
    if report:
        warnings.warn(f"captioned_folder: {summary}. All are in `.report`.", stacklevel=2)
    return CaptionedImages(images[: len(kept)], [captions[name] for name in kept], kept, report=report)


def _progress_bar(target):
    import keras

    return keras.utils.Progbar(target, unit_name="picture")
