"""Captions for images: chosen from a bank, or written by a vision-language model."""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.inputs import pixels
from kgen.progress import Progress
from kgen.text import clean_prompts
from kgen.types import Array, ValueRange, Verbose


class ImageCaptioner:
    """Captions for images, by one of two models.

    A `kgen.models.DualEncoder` chooses the caption of a bank whose vector is nearest to the image's. A KerasHub model
    that takes images and prompts writes captions itself: PaliGemma, Gemma 3, BLIP-2.

    A plain object, not a layer or model: save the model inside it instead.

    Args:
        model: a `DualEncoder`; or a model with `generate({"images": (N, H, W, C), "prompts": [...]})` that returns N
            strings, such as `keras_hub.models.CausalLM.from_preset("pali_gemma_3b_mix_224")`.
        bank: list of captions, for a `DualEncoder` only.
        prompt: what to ask the language model about each image, in the format that it expects.
        max_length: most tokens of prompt and caption together.
        image_size: height and width at which `kgen.data.caption_folder` reads images; None: the model's size, or 224.

    Raises:
        TypeError: if the model is neither, or a caption is not a string.
        ValueError: for a `DualEncoder` without captions, a language model with captions, or a number below 1.

    Example:

    ```python
    captioner = kgen.models.ImageCaptioner(dual_encoder, bank=["a cat", "a dog", "a red apple"])
    captioner.caption(images)                            # ["a dog", ...]
    kgen.data.caption_folder(captioner, "my_images")     # writes captions.csv
    ```
    """

    def __init__(
        self,
        model: Any,
        bank: list[str] | None = None,
        prompt: str = "caption en\n",
        max_length: int = 64,
        image_size: int | None = None,
    ):
        self.retrieves = callable(getattr(model, "retrieve", None))
        if not self.retrieves and not callable(getattr(model, "generate", None)):
            raise TypeError(
                "ImageCaptioner: model must be a DualEncoder, or have generate({'images': ..., 'prompts': ...}) like "
                f"KerasHub models; got {type(model).__name__}."
            )
        if self.retrieves != (bank is not None):
            raise ValueError(
                "ImageCaptioner: a DualEncoder chooses from a bank of captions; give bank=[...]."
                if self.retrieves
                else f"ImageCaptioner: {type(model).__name__} writes its own captions; bank is only for a DualEncoder."
            )
        self.model = model
        self.bank = None if bank is None else list(dict.fromkeys(clean_prompts(bank, "ImageCaptioner")))
        self.prompt = prompt
        self.max_length = checks.integer("ImageCaptioner", "max_length", max_length)
        if image_size is not None:
            image_size = checks.integer("ImageCaptioner", "image_size", image_size)
        self.image_size = image_size or self._own_size()
        # Vectors of the bank, and how many steps the model had ever been trained for when it made them.
        self._vectors: tuple[float, Array] | None = None

    def _own_size(self):
        if self.retrieves:
            return min(self.model.image_shape[:2])
        converter = getattr(getattr(self.model, "preprocessor", None), "image_converter", None)
        size = getattr(converter, "image_size", None)
        return min(size) if size else 224

    def caption(
        self, images: Any, batch_size: int = 16, verbose: Verbose = "auto", value_range: ValueRange = None
    ) -> Any:
        """A caption for each image.

        Args:
            images: an image `(height, width, channels)` or images `(N, height, width, channels)`, uint8, or float in
                [0, 1] or [-1, 1].
            batch_size: images computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.
            value_range: range of float images, `(0, 1)` or `(-1, 1)`. None: [-1, 1] if any value is negative, else the
                range that the `DualEncoder` was trained on, or [0, 1] if that is unknown.

        Returns:
            A list of N strings; for a single image a string. A language model may write nothing: "".

        Raises:
            TypeError: if `images` is not an array of images.
            ValueError: for images of another shape or range, or a model that does not return one string for each image.
        """
        single = len(getattr(images, "shape", ())) == 3
        images = images[None] if single else images
        captions = (self._chosen if self.retrieves else self._written)(images, batch_size, verbose, value_range)
        return captions[0] if single else captions

    def _chosen(self, images, batch_size, verbose, value_range):
        steps = float(ops.convert_to_numpy(self.model.updates))
        if self._vectors is None or self._vectors[0] != steps:
            self._vectors = steps, self.model.encode_texts(self.bank, 64, verbose)
        vectors = self.model.encode_images(images, batch_size, verbose, value_range)
        return [self.bank[i] for i in self.model.retrieve(vectors, self._vectors[1], top=1)[0][:, 0]]

    def _written(self, images, batch_size, verbose, value_range):
        batch_size = checks.integer("ImageCaptioner", "batch_size", batch_size)
        value_range = pixels.image_range("ImageCaptioner.caption", images, (None, None, 3), value_range)
        options = {"max_length": self.max_length, **({"strip_prompt": True} if _is_causal_lm(self.model) else {})}
        captions: list[str] = []
        progress = Progress(len(images), verbose=verbose)
        for start in range(0, len(images), batch_size):
            part = pixels.to_network(images[start : start + batch_size], value_range)
            # From 0 to 255, as KerasHub's converters of images expect.
            part = np.round(127.5 * (ops.convert_to_numpy(part) + 1.0))
            written = self.model.generate({"images": part, "prompts": [self.prompt] * len(part)}, **options)
            written = [written] if isinstance(written, str) else list(written)
            if len(written) != len(part) or not all(isinstance(text, str) for text in written):
                raise ValueError(
                    f"ImageCaptioner: generate() must give {len(part)} strings, one for each image; got {written!r}."
                )
            captions += [" ".join(text.removeprefix(self.prompt).split()) for text in written]
            progress.add(len(part))
        return captions

    def fingerprint(self) -> str:
        """A string of what captions depend on: the model's class and weights, and the bank or the prompt and length."""
        from kgen.data.resumable import fingerprint

        told = self.bank if self.retrieves else [self.prompt, self.max_length]
        return f"{fingerprint(self.model)} {hashlib.sha256(json.dumps(told).encode()).hexdigest()}"


def _is_causal_lm(model):
    """Whether it is a KerasHub language model, which repeats the prompt unless told to strip it."""
    # If there is such a model, KerasHub is already imported. Importing it here would take seconds.
    keras_hub = sys.modules.get("keras_hub")
    return keras_hub is not None and isinstance(model, keras_hub.models.CausalLM)
