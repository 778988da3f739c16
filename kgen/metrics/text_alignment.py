"""Whether generated images match their texts."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from kgen.metrics.dual_feature_extractor import DualFeatureExtractor
from kgen.metrics.retrieval import RetrievalRecall, normalized
from kgen.serializable import serializable


@serializable
class TextAlignment(RetrievalRecall):
    """Cosine of the features of a text and of the image made from it, and how often the image finds its text.

    `cosine` is the mean over pairs, from -1 to 1. With CLIP as dual encoder it is the CLIP score [Hessel et al. 2021,
    "CLIPScore: a reference-free evaluation metric for image captioning"]. `recall_at_1` and `recall_at_5` are those of
    `RetrievalRecall`: the share of images whose own text is the nearest, or among the nearest five, of `among` texts;
    the first is also known as R-precision [Xu et al. 2018, "AttnGAN"].

    Args:
        feature_extractor: a `kgen.models.DualEncoder` or a `DualFeatureExtractor`; None to pass features of texts and
            of images.
        among: how many texts to choose from, its own included; all if there are fewer.
        max_samples, value_range, name: see `RetrievalRecall`.

    Example:

    ```python
    alignment = kgen.metrics.TextAlignment(kgen.metrics.DualFeatureExtractor.clip("clip_vit_base_patch32"))
    alignment.update_state(prompts, model.generate(prompts))
    alignment.result()
    ```
    """

    measures = {"cosine": "max", "recall_at_1": "max", "recall_at_5": "max"}
    feature_extractor: DualFeatureExtractor | None

    def __init__(
        self,
        feature_extractor: Any = None,
        among: int = 100,
        max_samples: int = 10_000,
        value_range: tuple[float, float] | None = None,
        name: str | None = None,
    ):
        feature_extractor = DualFeatureExtractor.of(feature_extractor)
        super().__init__(feature_extractor, among, "cosine", max_samples, value_range, name)

    def build_for(self, image_shape: tuple[int, ...]) -> None:
        raise ValueError("TextAlignment needs texts, which compile() cannot pass to it. Use it outside compile().")

    def features_of(self, images: Any, role: str, value_range: tuple[float, float] | None = None) -> Any:
        if role == "real" and self.feature_extractor is not None:
            return self.feature_extractor.text(images)
        return super().features_of(images, role, value_range)

    def compute(self) -> list[float]:
        texts, images = map(normalized, self.pairs())
        if not len(texts):
            return self.unknown
        cosine = (texts * images).sum(axis=1).mean()
        if len(texts) == 1:
            warnings.warn(f"{self.name}: with a single pair there is no recall, only a cosine.", stacklevel=3)
            return [cosine, math.nan, math.nan]
        return [cosine, *super().compute()]


def first_of_each(texts: Sequence[str]) -> list[int]:
    """Where each text comes for the first time: no image could find its text among equal ones."""
    return sorted({text: i for i, text in reversed([*enumerate(texts)])}.values())
