"""Captions for a folder of images without captions."""

from __future__ import annotations

import csv
import io
import json
import os
import warnings
from typing import Any

import numpy as np

from kgen import checks
from kgen.data.folder_captions import CAPTION_TABLES, text_files
from kgen.data.image_folder import existing_folder, image_files, same_name, visible_files
from kgen.data.read_image import Color, check_image_options, read_image
from kgen.data.resumable import CAPTIONER, SO_FAR, begin, fingerprint, was_begun
from kgen.files import write_whole
from kgen.progress import Progress

_FORMAT = 1
# Problems that a warning names.
_NAMED = 10


def caption_folder(
    captioner: Any,
    folder: str | os.PathLike,
    batch_size: int = 16,
    image_size: int | None = None,
    channels: int = 3,
    background: Color = "white",
    resize: str = "crop",
    verbose: int | str = "auto",
) -> dict[str, str]:
    """Captions the images in a folder with a model, and writes `captions.csv`, which `captioned_folder` reads.

    If a call is killed, repeat it: it resumes where it stopped. Captions are saved batch by batch in
    `captions.jsonl.partial`; `captions.csv` is written last. `captioner.json` records the captioner and options: a call
    with others is refused, and a call with the same ones captions only new images. Captions that this function did not
    write are never touched. Images that cannot be read, or whose caption is empty, are left out; one warning names
    them.

    Args:
        captioner: a `kgen.models.ImageCaptioner`, or any object with a method `caption(images)` that takes uint8
            `(N, image_size, image_size, channels)` and returns a list of N strings.
        folder: the folder of images; sub-folders are included.
        batch_size: images captioned at once.
        image_size: height and width of the images that the captioner gets; None: its own `image_size`.
        channels, background, resize: as in `captioned_folder`.
        verbose: progress bar: 0: never; 1: always; "auto": after two seconds.

    Returns:
        A dict from file name (relative, with `/`) to caption.

    Raises:
        TypeError: the captioner has no `caption`.
        ValueError: the folder does not exist or has no images, none could be captioned, an option is out of range, the
            captioner is not the previous one, or it does not return one caption per image.
        FileExistsError: the folder has captions that this function did not write.

    Example:

    ```python
    captioner = kgen.models.ImageCaptioner(keras_hub.models.CausalLM.from_preset("pali_gemma_3b_mix_224"))
    kgen.data.caption_folder(captioner, "my_images")
    model.fit(kgen.data.captioned_folder("my_images"))
    ```
    """
    if not callable(getattr(captioner, "caption", None)):
        raise TypeError(f"caption_folder: captioner must have caption(images); got {type(captioner).__name__}.")
    shown_size = getattr(captioner, "image_size", None) if image_size is None else image_size
    image_size = check_image_options("caption_folder", shown_size, channels, background, resize)
    batch_size = checks.integer("caption_folder", "batch_size", batch_size)
    folder = existing_folder(folder, "caption_folder")
    files = image_files(folder, "caption_folder")
    source = captioner.fingerprint() if hasattr(captioner, "fingerprint") else fingerprint(captioner)
    shown = {"image_size": image_size, "channels": channels, "background": str(background), "resize": resize}
    _claim(folder, files, {"format": _FORMAT, "captioner": source, **shown})
    columns, told = _table(folder, {same_name(name): name for name in files})
    captions = {**{row["file_name"]: row["text"] for row in told}, **_so_far(folder)}
    problems: list[str] = []
    missing = [name for name in files if name not in captions]
    options = (image_size, channels, background, resize)
    with open(folder / SO_FAR, "a", encoding="utf-8") as kept:
        for rows in _captioned(captioner, folder, missing, batch_size, options, problems, verbose):
            captions.update(rows)
            kept.writelines(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in rows.items())
            kept.flush()
            os.fsync(kept.fileno())
    captions = {name: captions[name] for name in files if name in captions}
    summary = f"{len(problems)} of {len(files)} images in '{folder}' have no caption: {'; '.join(problems[:_NAMED])}"
    summary += f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    if not captions:
        raise ValueError(f"caption_folder: {summary}.")
    # The user's rows stay: several captions of an image, other columns.
    own: dict[str, list[dict]] = {name: [] for name in captions}
    for row in told:
        own.get(row["file_name"], []).append(row)
    table = io.StringIO()
    writer = csv.DictWriter(table, columns, extrasaction="ignore")
    writer.writeheader()
    for name, text in captions.items():
        writer.writerows(own[name] or [{"file_name": name, "text": text}])
    write_whole(folder / CAPTION_TABLES[0], table.getvalue())
    (folder / SO_FAR).unlink()
    if problems:
        warnings.warn(f"caption_folder: {summary}.", stacklevel=2)
    return captions


def _captioned(captioner, folder, names, batch_size, options, problems, verbose):
    """Yields dicts from name to caption; adds every image that is left out to `problems`."""
    progress = Progress(len(names), "image", verbose)
    for start in range(0, len(names), batch_size):
        part, images = [], []
        for name in names[start : start + batch_size]:
            try:
                images.append(read_image(folder / name, *options))
                part.append(name)
            except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
                problems.append(f"{name}: unreadable ({type(error).__name__}: {error})")
        texts = captioner.caption(np.stack(images)) if images else []
        if isinstance(texts, str) or len(texts) != len(part) or not all(isinstance(text, str) for text in texts):
            raise ValueError(
                f"caption_folder: caption() must return {len(part)} strings, one per image; got {texts!r}."
            )
        rows = {name: " ".join(text.split()) for name, text in zip(part, texts)}
        problems += [f"{name}: empty caption" for name in part if not rows[name]]
        yield {name: text for name, text in rows.items() if text}
        progress.add(len(names[start : start + batch_size]))


def _claim(folder, files, description):
    """Claims the folder for this captioner, unless it has captions from elsewhere."""
    file = folder / CAPTIONER
    instead = f"remove {CAPTIONER}, {CAPTION_TABLES[0]} and {SO_FAR} first"
    if was_begun("caption_folder", file, description, "captioned", instead):
        return
    found = [name for name in CAPTION_TABLES if (folder / name).exists()]
    found += text_files(visible_files(folder), files).values()
    if found:
        raise FileExistsError(f"caption_folder: '{folder}' has captions already: {', '.join(found[:_NAMED])}.")
    begin(file, description)


def _table(folder, files):
    """The columns and the rows of the table, with the names in `files`."""
    if (folder / CAPTION_TABLES[0]).is_file():
        # Somebody may have corrected captions in a spreadsheet, which writes a byte order mark.
        with open(folder / CAPTION_TABLES[0], encoding="utf-8-sig", newline="") as table:
            rows = csv.DictReader(table)
            if not {"file_name", "text"} <= set(rows.fieldnames or ()):
                raise ValueError(
                    f"caption_folder: {CAPTION_TABLES[0]} must begin with a line naming the columns file_name,text; "
                    f"got {checks.one_line(','.join(rows.fieldnames or ()), 100) or 'an empty file'}."
                )
            told = [{**row, "file_name": files.get(same_name(row["file_name"]), row["file_name"])} for row in rows]
            return rows.fieldnames, told
    return ["file_name", "text"], []


def _so_far(folder):
    """The captions of a killed run; drops a half-written line that it may have left."""
    captions, lines = {}, []
    if (folder / SO_FAR).is_file():
        for line in (folder / SO_FAR).read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # the last line may be cut short
            captions[row["file_name"]] = row["text"]
            lines.append(line + b"\n")
    write_whole(folder / SO_FAR, b"".join(lines))
    return captions
