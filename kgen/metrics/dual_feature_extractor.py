"""Features of images and of texts in one space."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.types import Array

_BATCH = 256


class DualFeatureExtractor(FeatureExtractor):
    """A dual encoder: the features of an image and of a text that describes it point in nearly the same direction.

    Args:
        network: from images to `(batch, dim)`, see `FeatureExtractor`.
        text_network: callable from a list of strings to a numpy array `(batch, dim)`.
        **kwargs: `name`, `image_size`, `value_range`, `interpolation`, see `FeatureExtractor`.

    Raises:
        TypeError: if `text_network` is not callable.

    Example:

    ```python
    encoder = kgen.metrics.DualFeatureExtractor.clip("clip_vit_base_patch32")
    alignment = kgen.metrics.TextAlignment(encoder)
    alignment.update_state(prompts, model.generate(prompts))
    ```
    """

    def __init__(self, network: keras.layers.Layer, text_network: Callable[[list[str]], Array], **kwargs: Any):
        super().__init__(network, **kwargs)
        if not callable(text_network):
            raise TypeError(
                "DualFeatureExtractor: text_network must be a callable that turns a list of strings into features; got "
                f"{type(text_network).__name__}."
            )
        self.text_network = text_network

    @classmethod
    def of(cls, value: Any) -> DualFeatureExtractor | None:
        """The extractor for `value`: an extractor, a dual encoder such as `kgen.models.DualEncoder`, or None.

        Raises:
            TypeError: if `value` is something else.
        """
        if value is None or isinstance(value, cls):
            return value
        if not hasattr(value, "as_feature_extractor"):
            raise TypeError(
                "DualFeatureExtractor: expected a dual encoder of images and texts in one space, or None; got "
                f"{value!r}."
            )
        return value.as_feature_extractor()

    @classmethod
    def clip(cls, preset: str) -> DualFeatureExtractor:
        """The two towers of a CLIP model [Radford et al. 2021], named after the preset.

        Images that are not square are squeezed, not cropped.

        Args:
            preset: a KerasHub preset's name, such as "clip_vit_base_patch32", or a local directory.

        Raises:
            OSError, ValueError: from KerasHub, if it cannot load the preset.
        """
        import keras_hub

        backbone = keras_hub.models.CLIPBackbone.from_preset(preset)
        preprocessor = keras_hub.models.CLIPPreprocessor.from_preset(preset)
        image_shape = tuple(backbone.vision_encoder.image_shape)
        pixels = keras.Input(image_shape, name="images")
        converter = preprocessor.image_converter
        images = keras.layers.Rescaling(converter.scale or 1.0, converter.offset or 0.0)(pixels)
        network = keras.Model(pixels, backbone.get_vision_embeddings(images))
        token_ids = keras.Input((preprocessor.sequence_length,), dtype="int32", name="token_ids")
        text_tower = keras.Model(token_ids, backbone.get_text_embeddings(token_ids))

        def text_network(texts):
            tokens = preprocessor({"prompts": texts, "images": None})["token_ids"]
            return text_tower.predict(ops.convert_to_numpy(tokens), batch_size=_BATCH, verbose=0)

        return cls(
            network,
            text_network,
            name=str(preset).rstrip("/").split("/")[-1],
            image_size=image_shape[:2],
            value_range=(0.0, 255.0),
        )

    def text(self, texts: Iterable[str]) -> Array:
        """Features `(N, dim)` float32 of a list of strings.

        Raises:
            TypeError: if `texts` is not a list of strings.
            ValueError: if it is empty.
        """
        if isinstance(texts, (str, bytes)) or not hasattr(texts, "__iter__"):
            raise TypeError(f"DualFeatureExtractor: texts must be a list of strings; got {texts!r}.")
        texts = list(texts)
        wrong = [type(text).__name__ for text in texts if not isinstance(text, str)]
        if wrong:
            raise TypeError(f"DualFeatureExtractor: texts must be strings; got {wrong[0]}.")
        if not texts:
            raise ValueError("DualFeatureExtractor: the list of texts is empty.")
        parts = [self.text_network(texts[i : i + _BATCH]) for i in range(0, len(texts), _BATCH)]
        return np.concatenate([np.asarray(part, "float32") for part in parts])
