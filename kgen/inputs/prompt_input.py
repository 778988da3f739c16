"""Prompts on their way to a generator: checked, expanded, cleaned, encoded."""

from __future__ import annotations

from typing import Any

import numpy as np

from kgen.layers import FeatureMemory
from kgen.text import PromptCleaner, PromptExpander, TextEncoder, clean_prompts
from kgen.types import Array, Tensor


class PromptInput:
    """Prepares the prompts of a text-to-image model: prompts become texts, and texts become features.

    Args:
        encoder: a `TextEncoder`, or an object that encodes like one.
        cleaner: a `PromptCleaner`, or None.
        expander: a `PromptExpander`, or None.
        memory: a `FeatureMemory` that moves pooled features towards known ones, or None.

    Example:

    ```python
    prompts = PromptInput(model.text_encoder)
    prompts.features(prompts.read(["A red  apple"], "example"))["pooled"].shape     # (1, pooled_dim)
    ```
    """

    def __init__(
        self,
        encoder: TextEncoder,
        cleaner: PromptCleaner | None = None,
        expander: PromptExpander | None = None,
        memory: FeatureMemory | None = None,
    ):
        self.encoder = encoder
        self.cleaner = cleaner
        self.expander = expander
        self.memory = memory

    def read(self, prompts: Any, owner: str, expand: bool = True) -> list[str]:
        """The texts for the encoder, one for each prompt; errors name `owner`."""
        texts = clean_prompts(prompts, owner)
        # A language model wants whole sentences, so the cleaner, which may remove words, comes after it.
        if expand and self.expander is not None:
            texts = self.expander.expand(texts)
        return texts if self.cleaner is None else self.cleaner.clean(texts, owner)

    def features(
        self,
        texts: list[str],
        negative: Any = None,
        guidance: float = 1.0,
        images_each: int = 1,
        batch_size: int = 64,
        verbose: int | str = "auto",
        tokens: bool = True,
    ) -> dict[str, Array]:
        """Features as `TextEncoder.encode` gives them, `images_each` rows for each text; each text is encoded once.

        They are not yet moved towards known features: `remembered` does that. It reads `unlike` and `guidance`, which
        are included if asked for.

        Args:
            texts: what `read` gave.
            negative: None; or a prompt for all texts, or one for each, that the memory should move away from.
            guidance: how far it moves; see `FeatureMemory`.
            images_each: rows for each text.
            batch_size, verbose, tokens: as in `TextEncoder.encode`.

        Raises:
            TypeError: if a negative prompt is not a string.
            ValueError: if there are not as many of them as texts, or one is empty.
        """
        read = list(texts)
        if negative is not None:
            negative = [negative] * len(texts) if isinstance(negative, str) else negative
            read += self.read(negative, "TextToImage.generate: negative_prompts", expand=False)
            if len(read) != 2 * len(texts):
                raise ValueError(
                    "TextToImage.generate: give one negative prompt, or one for each prompt; got "
                    f"{len(read) - len(texts)} for {len(texts)}."
                )
        number = {text: i for i, text in enumerate(dict.fromkeys(read))}
        encoded = self.encoder.encode(list(number), batch_size=batch_size, verbose=verbose, tokens=tokens)
        rows = [number[text] for text in read]
        asked, unlike = rows[: len(texts)], rows[len(texts) :]
        features = {name: values[asked] for name, values in encoded.items()}
        if unlike:
            features["unlike"] = encoded["pooled"][unlike]
        if guidance != 1.0:
            features["guidance"] = np.full((len(texts), 1), guidance, "float32")
        return {name: np.repeat(values, images_each, axis=0) for name, values in features.items()}

    def remembered(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """The result of `features`, as arrays or in a graph, with pooled features moved towards known ones."""
        features = dict(features)
        unlike, guidance = features.pop("unlike", None), features.pop("guidance", 1.0)
        if self.memory is None:
            return features
        return {**features, "pooled": self.memory(features["pooled"], unlike, guidance=guidance)}
