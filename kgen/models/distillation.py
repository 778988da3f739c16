"""A small text-to-image model that learns from a larger or slower one."""

from __future__ import annotations

import contextlib
import os
import tempfile
from typing import Any


def distill(
    teacher: Any,
    student: Any,
    prompts: list[str],
    directory: str | os.PathLike | None = None,
    images_per_prompt: int = 1,
    seed: int = 0,
    teacher_batch_size: int = 16,
    teacher_options: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """Trains a student on what a teacher generates from prompts.

    A teacher's images are more regular than its training images, and it makes them for any prompt. So a student with a
    fraction of the teacher's size or steps comes close to it [Hinton et al. 2015, "Distilling the knowledge in a neural
    network"; for diffusion models Luhman & Luhman 2021, "Knowledge distillation in iterative generative models for
    improved sampling speed"].

    Args:
        teacher: anything that `kgen.data.from_teacher` takes: a KerasHub or a kgen `TextToImage`.
        student: a model whose `fit` takes captioned images, such as a `TextToImage`. It is compiled with its defaults
            if it is not compiled yet.
        prompts: list of strings; a few images of many prompts teach more than many images of a few prompts.
        directory: keeps the teacher's images, to resume after a crash or to train another student. None: a temporary
            one.
        images_per_prompt: images of each prompt.
        seed: integer of at least 0, for the teacher's images.
        teacher_batch_size: images that the teacher generates at once.
        teacher_options: dict of more arguments for the teacher's `generate`, such as `num_steps`.
        **kwargs: of `student.fit`, such as `epochs` and `batch_size`.

    Returns:
        The `History` of `fit`.

    Raises:
        TypeError, ValueError: as in `from_teacher`; or for a student whose images are not square.

    Example:

    ```python
    student = kgen.models.TextToImage("all_minilm_l6_v2_en", image_shape=(64, 64, 3))
    kgen.models.distill(teacher, student, prompts, "generated", images_per_prompt=8, epochs=50)
    ```
    """
    # `import kgen` imports the models, but not yet the data.
    from kgen.data import from_teacher

    height, width, channels = student.image_shape
    if height != width:
        raise ValueError(f"distill: the student's images must be square; got {height}x{width}.")
    with contextlib.ExitStack() as kept_until_trained:
        if directory is None:
            directory = kept_until_trained.enter_context(tempfile.TemporaryDirectory())
        data = from_teacher(
            teacher,
            prompts,
            directory,
            images_per_prompt,
            seed,
            teacher_batch_size,
            height,
            channels,
            **(teacher_options or {}),
        )
        if not student.compiled:
            student.compile()
        return student.fit(data, **kwargs)
