"""Captions for a folder of pictures that has none."""

import csv
import io
import json
import os
import warnings

import numpy as np

from kgen.data.folder_captions import CAPTION_TABLES
from kgen.data.picture_folder import existing_folder, picture_files
from kgen.data.read_picture import check_picture_options, read_picture
from kgen.data.resumable import begin, fingerprint, was_begun, write_whole

_DESCRIPTION = "captioner.json"
_PARTIAL = "captions.jsonl.partial"
_FORMAT = 1
# Problems that a warning names.
_NAMED = 10


def caption_folder(
    captioner, folder, batch_size=16, image_size=None, channels=3, background="white", resize="crop", verbose=True
):
    """Has the pictures below a folder captioned, and writes `captions.csv`, which `captioned_folder` reads.

    A call that was killed goes on where it stopped when it is made again: captions are kept, batch by batch, in
    `captions.jsonl.partial`, and `captions.csv` is written last, whole. `captioner.json` tells who wrote them: a call
    with another captioner or other options is refused, one with the same captions the pictures that came since.
    Captions that were not written by this function are never touched. What cannot be read, or has an empty caption, is
    left out with one warning that names it.

    Args:
        captioner: a `kgen.models.ImageCaptioner`, or anything with `caption(images)` from uint8 pictures `(N,
            image_size, image_size, channels)` to a list of N strings.
        folder: the folder of pictures; sub-folders count.
        batch_size: pictures captioned at once.
        image_size: height and width in which pictures are shown to the captioner; None: its own `image_size`.
        channels, background, resize: as of `captioned_folder`.
        verbose: whether to show a progress bar.

    Returns:
        A dict from file name (relative, with `/`) to caption.

    Raises:
        TypeError: the captioner has no `caption`.
        ValueError: no such folder, no pictures or none that could be captioned, an option out of range, another
            captioner than before, or not one caption a picture.
        FileExistsError: the folder has captions that this function did not write.

    Example:

    ```python
    captioner = kgen.models.ImageCaptioner(keras_hub.models.CausalLM.from_preset("pali_gemma_3b_mix_224"))
    kgen.data.caption_folder(captioner, "my_pictures")
    model.fit(kgen.data.captioned_folder("my_pictures"))
    ```
    """
    if not callable(getattr(captioner, "caption", None)):
        raise TypeError(f"caption_folder: captioner must have caption(images); got {type(captioner).__name__}.")
    image_size = image_size or getattr(captioner, "image_size", None)
    check_picture_options("caption_folder", image_size, channels, background, resize)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"caption_folder: batch_size must be an integer of at least 1; got {batch_size!r}.")
    folder = existing_folder(folder, "caption_folder")
    files = picture_files(folder, "caption_folder")
    own = captioner.fingerprint() if hasattr(captioner, "fingerprint") else fingerprint(captioner)
    shown = {"image_size": int(image_size), "channels": channels, "background": str(background), "resize": resize}
    _claim(folder, files, {"format": _FORMAT, "captioner": own, **shown})
    captions, problems = _known(folder), []
    missing = [name for name in files if name not in captions]
    options = (int(image_size), channels, background, resize)
    with open(folder / _PARTIAL, "a", encoding="utf-8") as kept:
        for rows in _captioned(captioner, folder, missing, batch_size, options, problems, verbose):
            captions.update(rows)
            kept.writelines(json.dumps({"file_name": name, "text": text}) + "\n" for name, text in rows.items())
            kept.flush()
            os.fsync(kept.fileno())
    captions = {name: captions[name] for name in files if name in captions}
    summary = f"{len(problems)} of {len(files)} pictures in '{folder}' have no caption: {'; '.join(problems[:_NAMED])}"
    summary += f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    if not captions:
        raise ValueError(f"caption_folder: {summary}.")
    table = io.StringIO()
    csv.writer(table).writerows([("file_name", "text"), *captions.items()])
    write_whole(folder / CAPTION_TABLES[0], table.getvalue().encode("utf-8"))
    (folder / _PARTIAL).unlink()
    if problems:
        warnings.warn(f"caption_folder: {summary}.", stacklevel=2)
    return captions


def _captioned(captioner, folder, names, batch_size, options, problems, verbose):
    """Yields dicts from name to caption, and appends what was left out to `problems`."""
    import keras

    progress = keras.utils.Progbar(len(names), unit_name="picture", verbose=int(bool(verbose)))
    for start in range(0, len(names), batch_size):
        part, pictures = [], []
        for name in names[start : start + batch_size]:
            try:
                pictures.append(read_picture(folder / name, *options))
                part.append(name)
            except Exception as error:  # noqa: BLE001  (Pillow's decoders raise a dozen types for broken files)
                problems.append(f"{name}: unreadable ({type(error).__name__}: {error})")
        texts = captioner.caption(np.stack(pictures)) if pictures else []
        if isinstance(texts, str) or len(texts) != len(part) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"caption_folder: caption() must give {len(part)} strings, one a picture; got {texts!r}.")
        rows = {name: " ".join(text.split()) for name, text in zip(part, texts)}
        problems += [f"{name}: empty caption" for name in part if not rows[name]]
        yield {name: text for name, text in rows.items() if text}
        progress.update(min(start + batch_size, len(names)))


def _claim(folder, files, description):
    """Makes the folder's captions this captioner's, unless they are another's."""
    file = folder / _DESCRIPTION
    instead = f"take away {_DESCRIPTION}, {CAPTION_TABLES[0]} and {_PARTIAL} first"
    if was_begun("caption_folder", file, description, "captioned", instead):
        return
    found = [name for name in CAPTION_TABLES if (folder / name).exists()]
    found += [path.name for path in ((folder / name).with_suffix(".txt") for name in files) if path.exists()]
    if found:
        raise FileExistsError(f"caption_folder: '{folder}' has captions already: {', '.join(found[:_NAMED])}.")
    begin(file, description)


def _known(folder):
    """Captions that are there already; what a killed run left is made whole again."""
    captions = {}
    if (folder / CAPTION_TABLES[0]).is_file():
        with open(folder / CAPTION_TABLES[0], encoding="utf-8", newline="") as table:
            captions = {row["file_name"]: row["text"] for row in csv.DictReader(table)}
    lines = []
    if (folder / _PARTIAL).is_file():
        for line in (folder / _PARTIAL).read_bytes().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                # Cut short, as the last line may be.
                continue
            captions[row["file_name"]] = row["text"]
            lines.append(line + b"\n")
    write_whole(folder / _PARTIAL, b"".join(lines))
    return captions
