"""A data set of captioned images that a larger or slower model generates."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kgen import checks
from kgen.data.captioned_folder import captioned_folder
from kgen.data.captioned_images import CaptionedImages
from kgen.data.resumable import TEACHER, begin, fingerprint, was_begun
from kgen.files import PARTIAL, whole_file, write_whole
from kgen.progress import Progress

_CAPTIONS = "captions.csv"
_FORMAT = 1


def from_teacher(
    teacher: Any,
    prompts: Iterable[str],
    directory: str | os.PathLike,
    images_per_prompt: int = 1,
    seed: int = 0,
    batch_size: int = 16,
    image_size: int | None = None,
    channels: int = 3,
    verbose: int | str = "auto",
    **options: Any,
) -> CaptionedImages:
    """Generates images of prompts with a teacher, into a folder that `captioned_folder` reads.

    The teacher is any object with `generate(list of prompts, seed=integer)` that returns images `(N, H, W, C)`, uint8
    or float: a KerasHub `TextToImage` such as Stable Diffusion 3, or a `kgen.models.TextToImage`.

    If a call is killed, repeat it: it goes on where it stopped. A batch's seed depends only on `seed` and the number of
    the batch, and batches whose images all exist are not generated again. The captions, `captions.csv`, are written
    last: a folder that has them is complete. `teacher.json` says how the folder was made; a call with other prompts
    or another teacher is refused.

    Args:
        teacher: the model that generates.
        prompts: list of strings.
        directory: where to write; created if it does not exist.
        images_per_prompt: images of each prompt.
        seed: integer of at least 0.
        batch_size: images that the teacher generates at once; the last batch is filled up, so that a teacher that
            compiles does so once.
        image_size, channels: of the result, as in `captioned_folder`. Default: the shorter side of the teacher's
            images.
        verbose: progress bar: 0: never; 1: always; "auto": after two seconds.
        **options: further arguments of the teacher's `generate`, such as `num_steps` and `guidance_scale`.

    Returns:
        The `CaptionedImages`, in the order of the prompts.

    Raises:
        TypeError: the teacher has no `generate`, or a prompt is not a string.
        ValueError: there are no prompts, one is empty, a number is out of range, the folder is of other prompts or
            another teacher, or the teacher does not return images.
        FileExistsError: the directory holds something else.

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
    images_per_prompt = checks.integer("from_teacher", "images_per_prompt", images_per_prompt)
    batch_size = checks.integer("from_teacher", "batch_size", batch_size)
    seed = checks.integer("from_teacher", "seed", seed, 0)
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
    write_whole(folder / _CAPTIONS, table.getvalue())
    if image_size is None:
        with Image.open(files[0]) as image:
            image_size = min(image.size)
    return captioned_folder(folder, image_size, channels, verbose=verbose)


def _draw(teacher, asked, files, seed, batch_size, verbose, options):
    progress = Progress(len(asked), "image", verbose)
    for batch, start in enumerate(range(0, len(asked), batch_size)):
        part, wanted = files[start : start + batch_size], asked[start : start + batch_size]
        if not all(file.exists() for file in part):
            own_seed = int(np.random.SeedSequence([seed, batch]).generate_state(1)[0] >> 1)
            filled = wanted + wanted[-1:] * (batch_size - len(wanted))
            images = _pixels(teacher.generate(filled, seed=own_seed, **options), batch_size)
            for file, image in zip(part, images):
                with whole_file(file) as partial:
                    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(partial)
        progress.add(len(part))


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
    """Claims the folder for this call, unless it holds something else."""
    file = folder / TEACHER
    begun = was_begun("from_teacher", file, description, "drawn", "choose another directory")
    if not begun and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"from_teacher: '{folder}' exists and does not hold a teacher's images.")
    folder.mkdir(parents=True, exist_ok=True)
    for leftover in folder.glob(f"*{PARTIAL}.*"):
        leftover.unlink()
    begin(file, description)


def _pixels(images, count):
    """A teacher's images as uint8 `(count, H, W, C)`."""
    images = np.asarray(images)
    if images.ndim != 4 or len(images) != count or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"from_teacher: generate() must give {count} images (N, height, width, 1 or 3 channels); got shape "
            f"{images.shape}."
        )
    if images.dtype == np.uint8:
        return images
    images = images.astype("float32")
    low, high = float(images.min()), float(images.max())
    if not (np.isfinite(images).all() and low >= (-1.0 if high <= 1.0 else 0.0) and high <= 255.0):
        raise ValueError(
            "from_teacher: images must be uint8, or float in [0, 1], [-1, 1] or [0, 255]; got values from "
            f"{low:.4g} to {high:.4g}."
        )
    if low < 0.0:
        images = 127.5 * (images + 1.0)
    elif high <= 1.0:
        images = 255.0 * images
    return np.round(images).astype("uint8")
