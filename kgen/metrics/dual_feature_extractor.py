"""Features of pictures and of texts in one space."""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from kgen.metrics.feature_extractor import FeatureExtractor

_BATCH = 256


class DualFeatureExtractor(FeatureExtractor):
    """A dual encoder: a picture and a text that says what it shows have features in nearly one direction.

    Args:
        network: from images to `(batch, dim)`, as of `FeatureExtractor`.
        text_network: callable from a list of strings to a numpy array `(batch, dim)`.
        **kwargs: `name`, `image_size`, `value_range`, `interpolation`, as of `FeatureExtractor`.

    Example:

    ```python
    encoder = kgen.metrics.DualFeatureExtractor.clip("clip_vit_base_patch32")
    alignment = kgen.metrics.TextAlignment(encoder)
    ```
    """

    def __init__(self, network, text_network, **kwargs):
        super().__init__(network, **kwargs)
        if not callable(text_network):
            raise TypeError(
                "DualFeatureExtractor: text_network must be callable, from a list of strings to features; got "
                f"{type(text_network).__name__}."
            )
        self.text_network = text_network

    @classmethod
    def of(cls, value):
        """The extractor that `value` stands for: itself, None, or a dual encoder such as `kgen.models.DualEncoder`.

        Raises:
            TypeError: `value` is nothing of this.
        """
        if value is None or isinstance(value, cls):
            return value
        if not hasattr(value, "as_feature_extractor"):
            raise TypeError(
                "DualFeatureExtractor: expected a dual encoder, for pictures and texts in one space, or None; got "
                f"{value!r}."
            )
        return value.as_feature_extractor()

    @classmethod
    def clip(cls, preset):
        """The two towers of a CLIP [Radford et al. 2021], with the preset's name.

        Pictures that are not square lose their proportions, and none of their sides.

        Args:
            preset: a KerasHub preset's name, such as "clip_vit_base_patch32", or a local directory.

        Raises:
            OSError, ValueError: whatever KerasHub says of a preset that it cannot load.
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

    def text(self, texts):
        """Features `(N, dim)` float32 of a list of strings.

        Raises:
            TypeError: if they are no list, or one is no string.
            ValueError: if there is none.
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
