"""Captioned pictures drawn by a model that is larger or slower than the one which is to learn from them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np

from kgen.data.captioned_folder import captioned_folder
from kgen.data.resumable import PARTIAL, begin, fingerprint, was_begun, write_whole

_DESCRIPTION = "teacher.json"
_CAPTIONS = "captions.csv"
_FORMAT = 1


def from_teacher(
    teacher,
    prompts,
    directory,
    images_per_prompt=1,
    seed=0,
    batch_size=16,
    image_size=None,
    channels=3,
    verbose=True,
    **options,
):
    """Has a teacher draw pictures of prompts, and keeps them as a folder that `captioned_folder` reads.

    The teacher is anything with `generate(list of prompts, seed=integer)` that gives pictures `(N, H, W, C)`, uint8 or
    float: a KerasHub `TextToImage` such as Stable Diffusion 3, or a `kgen.models.TextToImage`.

    A call that was killed goes on where it stopped when it is made again: pictures are written whole, a batch's seed
    depends on `seed` and the batch's number alone, and batches whose pictures are all there are not drawn again. The
    captions, `captions.csv`, are written last: a folder that has them is complete. `teacher.json` tells what the folder
    is made of; a call with other prompts, or another teacher, is refused.

    Args:
        teacher: the model that draws.
        prompts: list of strings.
        directory: where to write; made where it is not.
        images_per_prompt: pictures of each prompt.
        seed: integer of at least 0.
        batch_size: pictures that the teacher is asked for at once; the last batch is filled up, so that a teacher that
            compiles does so once.
        image_size, channels: of what is given back, as of `captioned_folder`. By default the shorter side of the
            teacher's pictures.
        verbose: whether to show a progress bar.
        **options: further arguments of the teacher's `generate`, such as `num_steps` and `guidance_scale`.

    Returns:
        The `CaptionedImages`, in the order of the prompts.

    Raises:
        TypeError: the teacher has no `generate`, or a prompt is no string.
        ValueError: no prompts, an empty one, a number out of range, a folder of other prompts or of another teacher, or
            pictures that are none.
        FileExistsError: the folder holds something else.

    Example:

    ```python
    teacher = keras_hub.models.TextToImage.from_preset("stable_diffusion_3_medium")
    data = kgen.data.from_teacher(teacher, prompts, "drawn", images_per_prompt=8, image_size=64, num_steps=28)
    model.fit(data)
    ```
    """
    if not callable(getattr(teacher, "generate", None)):
        raise TypeError(f"from_teacher: teacher must have generate(prompts, seed=); got {type(teacher).__name__}.")
    prompts = _checked(prompts)
    for name, value, least in (
        ("images_per_prompt", images_per_prompt, 1),
        ("batch_size", batch_size, 1),
        ("seed", seed, 0),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"from_teacher: {name} must be an integer of at least {least}; got {value!r}.")
    asked = [prompt for prompt in prompts for _ in range(images_per_prompt)]
    batch_size = min(batch_size, len(asked))
    folder = Path(directory).expanduser()
    description = {
        "format": _FORMAT,
        "teacher": fingerprint(teacher),
        "prompts": hashlib.sha256(json.dumps(prompts).encode()).hexdigest(),
        "images_per_prompt": images_per_prompt,
        "seed": seed,
        "batch_size": batch_size,
        "options": json.loads(json.dumps(options, default=repr)),
    }
    _claim(folder, description)
    files = [folder / f"{i:07d}.png" for i in range(len(asked))]
    _draw(teacher, asked, files, seed, batch_size, verbose, options)
    table = io.StringIO()
    csv.writer(table).writerows([("file_name", "text"), *((file.name, text) for file, text in zip(files, asked))])
    write_whole(folder / _CAPTIONS, table.getvalue().encode("utf-8"))
    return captioned_folder(folder, image_size or _shorter_side(files[0]), channels, verbose=verbose)


def _draw(teacher, asked, files, seed, batch_size, verbose, options):
    import keras

    progress = keras.utils.Progbar(len(asked), unit_name="picture", verbose=int(bool(verbose)))
    for batch, start in enumerate(range(0, len(asked), batch_size)):
        part, wanted = files[start : start + batch_size], asked[start : start + batch_size]
        if not all(file.exists() for file in part):
            own_seed = int(np.random.SeedSequence([seed, batch]).generate_state(1)[0] >> 1)
            filled = wanted + wanted[-1:] * (batch_size - len(wanted))
            pictures = _pixels(teacher.generate(filled, seed=own_seed, **options), batch_size)
            for file, picture in zip(part, pictures):
                write_whole(file, _png(picture))
        progress.update(start + len(part))


def _checked(prompts):
    if isinstance(prompts, (str, bytes)) or not hasattr(prompts, "__iter__"):
        raise TypeError(f"from_teacher: prompts must be a list of strings; got {prompts!r}.")
    prompts = list(prompts)
    wrong = [prompt for prompt in prompts if not isinstance(prompt, str)]
    if wrong:
        raise TypeError(f"from_teacher: prompts must be strings; got {wrong[0]!r}, a {type(wrong[0]).__name__}.")
    empty = [i for i, prompt in enumerate(prompts) if not prompt.strip()]
    if empty or not prompts:
        raise ValueError(f"from_teacher: {f'prompt {empty[0]} is empty' if empty else 'the list of prompts is empty'}.")
    return prompts


def _claim(folder, description):
    """Makes the folder this call's, unless it is another's."""
    file = folder / _DESCRIPTION
    begun = was_begun("from_teacher", file, description, "drawn", "choose another directory")
    if not begun and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"from_teacher: '{folder}' exists and is not of a teacher's pictures.")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*{PARTIAL}"):
        leftover.unlink()
    begin(file, description)


def _pixels(pictures, count):
    """What a teacher gave as uint8 `(count, H, W, C)`."""
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or len(pictures) != count or pictures.shape[-1] not in (1, 3):
        raise ValueError(
            f"from_teacher: generate() must give {count} pictures (N, height, width, 1 or 3 channels); got shape "
            f"{pictures.shape}."
        )
    if pictures.dtype == np.uint8:
        return pictures
    pictures = pictures.astype("float32")
    low, high = float(pictures.min()), float(pictures.max())
    if not (np.isfinite(pictures).all() and low >= (-1.0 if high <= 1.0 else 0.0) and high <= 255.0):
        raise ValueError(
            "from_teacher: pictures must be uint8, or float in [0, 1], [-1, 1] or [0, 255]; got values from "
            f"{low:.4g} to {high:.4g}."
        )
    if low < 0.0:
        pictures = 127.5 * (pictures + 1.0)
    elif high <= 1.0:
        pictures = 255.0 * pictures
    return np.round(pictures).astype("uint8")


def _png(picture):
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(stream, "PNG")
    return stream.getvalue()


def _shorter_side(file):
    from PIL import Image

    with Image.open(file) as picture:
        return min(picture.size)
