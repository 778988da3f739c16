"""Where generated images come from: a folder, a kgen model, a SavedModel."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kgen.data import ImageFolder
from kgen.data.folder_captions import folder_captions
from kgen.data.read_image import opened_image
from kgen.keras_file import load_keras_file
from kgen.models import GAN, VAE, TextToImage
from kgen.presets import is_preset, load_preset
from kgen.presets.hub import is_address
from kgen.types import Array


def source_of(options: argparse.Namespace) -> Source:
    """The source of the generated images: has `image_shape`, `files`, `prompts`, a length and `batches(size)`.

    Args:
        options: options of the command; `generated` says where the images come from.

    Raises:
        ImportError: for a SavedModel without TensorFlow.
        OSError, ValueError: if there is no such source at `options.generated`.
    """
    name, path = options.generated, Path(options.generated).expanduser()
    if path.suffix == ".keras":
        if not path.is_file():
            raise ValueError(f"there is no file '{path}'.")
        return FromModel(load_keras_file(path, "evaluate"), options)
    if is_address(name) or is_preset(path):
        return FromModel(load_preset(name if is_address(name) else path), options)
    if (path / "saved_model.pb").is_file():
        return FromSavedModel(path, options)
    if not path.is_dir():
        raise ValueError(f"'{name}' is not a folder of images, .keras file, SavedModel or preset of kgen.")
    return FromFolder(path, options)


class FromFolder:
    """The images of a folder."""

    prompts = None

    def __init__(self, path: Path, options: argparse.Namespace):
        size = options.image_size
        if size is None:
            first = ImageFolder(path, 1)
            with opened_image(first.path / first.files[0]) as image:
                size = min(image.size)
        self.folder = ImageFolder(path, size, limit=options.num_images, on_error="raise")
        self.image_shape = self.folder.image_shape
        self.files = self.folder.files

    def __len__(self) -> int:
        return len(self.files)

    def batches(self, size: int) -> Iterator[Array]:
        """Yields uint8 `(at most size, H, W, C)`."""
        return self.folder.batches(size)


class FromModel:
    """Images that a kgen model generates: image i has the seed `options.seed + i`."""

    files = None

    def __init__(self, model: Any, options: argparse.Namespace):
        if not isinstance(model, (GAN, VAE, TextToImage)):
            raise ValueError(
                f"'{options.generated}' must contain a kgen GAN, VAE or TextToImage; got {type(model).__name__}."
            )
        if options.image_size not in (None, model.sampler.image_shape[0]):
            raise ValueError(
                f"--image-size is only for folders; the model draws {model.sampler.image_shape[0]} pixels a side."
            )
        self.model = model
        self.options = options
        self.image_shape = model.sampler.image_shape
        self.num_classes = getattr(model, "num_classes", None)
        self.prompts = _prompts(options) if isinstance(model, TextToImage) else None

    def __len__(self) -> int:
        return self.options.num_images if self.prompts is None else len(self.prompts)

    def batches(self, size: int) -> Iterator[Array]:
        """Yields uint8 `(at most size, H, W, C)`."""
        for start in range(0, len(self), size):
            rows = np.arange(start, min(start + size, len(self)))
            yield self.draw(rows)

    def draw(self, rows: Array) -> Array:
        """uint8 images of these numbers."""
        asked: dict[str, Any] = {"num_images": len(rows)}
        if self.prompts is not None:
            asked = {"prompts": [self.prompts[i] for i in rows]}
        elif self.num_classes is not None:
            asked = {"labels": rows % self.num_classes}
        seeds = self.options.seed + rows
        return self.model.generate(**asked, seed=seeds, batch_size=self.options.batch_size, verbose=0)


class FromSavedModel(FromModel):
    """Images that an exported model generates, from prompts or only from seeds."""

    def __init__(self, path: Path, options: argparse.Namespace):
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ImportError(f"'{path}' is a SavedModel, which needs TensorFlow: pip install tensorflow") from error
        with contextlib.suppress(ImportError):
            import tensorflow_text  # noqa: F401  (registers operations of a tokenizer that the model may contain)

        # The model is kept too, because a signature does not keep it alive.
        self.model, self.options = tf.saved_model.load(path), options
        self.serve = self.model.signatures.get("serving_default")
        inputs = self.serve.structured_input_signature[1] if self.serve is not None else {}
        if "labels" in inputs:
            raise ValueError(f"'{path}' does not say how many classes it has; give the model's .keras file or preset.")
        if "seeds" not in inputs or "images" not in self.serve.structured_outputs:
            raise ValueError(f"'{path}' is not a SavedModel of kgen.")
        self.image_shape = tuple(self.serve.structured_outputs["images"].shape[1:])
        self.prompts = _prompts(options) if "prompts" in inputs else None

    def draw(self, rows: Array) -> Array:
        """uint8 images of these numbers."""
        import tensorflow as tf

        images = []
        for start in range(0, len(rows), self.options.batch_size):
            part = rows[start : start + self.options.batch_size]
            asked = {"seeds": tf.constant(self.options.seed + part, tf.int32)}
            if self.prompts is not None:
                asked["prompts"] = tf.constant([self.prompts[i] for i in part])
            images.append(self.serve(**asked)["images"].numpy())
        return np.concatenate(images)


Source: TypeAlias = FromFolder | FromModel


def _prompts(options: argparse.Namespace) -> list[str]:
    """Prompts from a text file, or one caption per image of the real folder; repeated if there are too few."""
    if options.prompts is not None:
        prompts = [line.strip() for line in options.prompts.read_text(encoding="utf-8").splitlines() if line.strip()]
    elif options.real.is_dir():
        # Images without a caption are skipped.
        prompts = [captions[0] for captions in folder_captions(options.real, lambda *_: None).values()]
    else:
        raise ValueError("this model draws from prompts: give --prompts, or a folder of captioned real images.")
    if not prompts:
        raise ValueError(f"there are no prompts in '{options.prompts or options.real}'.")
    return [prompts[i % len(prompts)] for i in range(options.num_images)]
