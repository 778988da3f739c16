"""What pictures show, in words: chosen from a bank of captions, or written by a language model that sees."""

from __future__ import annotations

import hashlib
import inspect
import json

import keras
import numpy as np
from keras import ops

from kgen.models import pixels
from kgen.models.shared_space import SharedSpace
from kgen.text import clean_prompts


class ImageCaptioner:
    """Captions for pictures, by one of two models.

    A `kgen.models.DualEncoder` takes, of a bank of captions, the one whose vector is nearest to the picture's. A model
    of KerasHub that is given pictures and prompts writes captions itself: PaliGemma, Gemma 3, BLIP-2.

    A plain object, neither layer nor model: save the model that it was made with.

    Args:
        model: a `DualEncoder`; or a model with `generate({"images": (N, H, W, C), "prompts": [...]})` that gives N
            strings, such as `keras_hub.models.CausalLM.from_preset("pali_gemma_3b_mix_224")`.
        bank: list of captions; for a `DualEncoder`, and for it alone.
        prompt: what the language model is asked of each picture, in its own form.
        max_length: of prompt and caption, in tokens.
        image_size: height and width that `kgen.data.caption_folder` reads pictures in; None: what the model takes, or
            224.

    Raises:
        TypeError: if the model is neither, or a caption is no string.
        ValueError: for no captions, captions that a language model does not take, or a number below 1.

    Example:

    ```python
    captioner = kgen.models.ImageCaptioner(dual_encoder, bank=["a cat", "a dog", "a red apple"])
    captioner.caption(pictures)                            # ["a dog", ...]
    kgen.data.caption_folder(captioner, "my_pictures")     # writes captions.csv
    ```
    """

    def __init__(self, model, bank=None, prompt="caption en\n", max_length=64, image_size=None):
        self.retrieves = isinstance(model, SharedSpace)
        if not self.retrieves and not callable(getattr(model, "generate", None)):
            raise TypeError(
                "ImageCaptioner: model must be a DualEncoder, or have generate({'images': ..., 'prompts': ...}) as "
                f"KerasHub's; got {type(model).__name__}."
            )
        if self.retrieves != (bank is not None):
            raise ValueError(
                "ImageCaptioner: a DualEncoder chooses from a bank of captions; give bank=[...]."
                if self.retrieves
                else f"ImageCaptioner: {type(model).__name__} writes its captions; a bank is for a DualEncoder."
            )
        for name, value in (("max_length", max_length), ("image_size", image_size)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ValueError(f"ImageCaptioner: {name} must be an integer of at least 1; got {value!r}.")
        self.model = model
        self.bank = list(dict.fromkeys(clean_prompts(bank, "ImageCaptioner"))) if self.retrieves else None
        self.prompt = prompt
        self.max_length = max_length
        self.image_size = image_size or self._own_size()
        self._vectors = None

    def _own_size(self):
        if self.retrieves:
            return min(self.model.image_shape[:2])
        converter = getattr(getattr(self.model, "preprocessor", None), "image_converter", None)
        size = getattr(converter, "image_size", None)
        return min(size) if size else 224

    def caption(self, images, batch_size=16, verbose="auto"):
        """A caption for each picture.

        Args:
            images: a picture `(height, width, channels)` or pictures `(N, height, width, channels)`, uint8, or float in
                [0, 1] or [-1, 1].
            batch_size: pictures computed at once.
            verbose: 0: silent; 1: progress bar; "auto": a bar on long work.

        Returns:
            A list of N strings; of a single picture its string. A language model may write nothing: "".

        Raises:
            TypeError: if `images` is no array of pictures.
            ValueError: for pictures of another shape or range, or a model whose answer is none.
        """
        single = len(getattr(images, "shape", ())) == 3
        images = images[None] if single else images
        captions = (self._chosen if self.retrieves else self._written)(images, batch_size, verbose)
        return captions[0] if single else captions

    def _chosen(self, images, batch_size, verbose):
        if self._vectors is None:
            self._vectors = self.model.encode_texts(self.bank, 64, verbose)
        vectors = self.model.encode_images(images, batch_size, verbose)
        return [self.bank[i] for i in self.model.retrieve(vectors, self._vectors, top=1)[0][:, 0]]

    def _written(self, images, batch_size, verbose):
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"ImageCaptioner: batch_size must be an integer of at least 1; got {batch_size!r}.")
        found = pixels.pixel_range("ImageCaptioner.caption", images, (None, None, 3))
        options = {"max_length": self.max_length}
        if "strip_prompt" in inspect.signature(self.model.generate).parameters:
            options["strip_prompt"] = True
        count, captions = len(images), []
        shown = verbose == 1 or (verbose == "auto" and count > 2 * batch_size)
        progress = keras.utils.Progbar(count, unit_name="image") if shown else None
        for start in range(0, count, batch_size):
            part = pixels.to_network(images[start : start + batch_size], found)
            # From 0 to 255, as KerasHub's converters of images have it.
            part = np.round(127.5 * (ops.convert_to_numpy(part) + 1.0))
            written = self.model.generate({"images": part, "prompts": [self.prompt] * len(part)}, **options)
            written = [written] if isinstance(written, str) else list(written)
            if len(written) != len(part) or not all(isinstance(text, str) for text in written):
                raise ValueError(
                    f"ImageCaptioner: generate() must give {len(part)} strings, one a picture; got {written!r}."
                )
            captions += [" ".join(text.removeprefix(self.prompt).split()) for text in written]
            if progress:
                progress.update(len(captions))
        return captions

    def fingerprint(self):
        """What captions depend on, as a string: the model's class and weights, and the bank or the prompt."""
        from kgen.data.resumable import fingerprint

        told = self.bank if self.retrieves else [self.prompt, self.max_length]
        return f"{fingerprint(self.model)} {hashlib.sha256(json.dumps(told).encode()).hexdigest()}"
