"""Whether generated pictures show what their texts say."""

from __future__ import annotations

import keras

from kgen.metrics.dual_feature_extractor import DualFeatureExtractor
from kgen.metrics.retrieval import RetrievalRecall, normalized


@keras.saving.register_keras_serializable(package="kgen")
class TextAlignment(RetrievalRecall):
    """Cosine of the features of a text and of the picture made from it, and how often the picture finds its text.

    `cosine` is the mean over pairs, from -1 to 1; where the dual encoder is CLIP it is known as CLIP score [Hessel et
    al. 2021, "CLIPScore: a reference-free evaluation metric for image captioning"]. `recall_at_1` and `recall_at_5`
    are those of `RetrievalRecall`: the share of pictures whose own text is the nearest, or among the nearest five, of
    `among` texts; at 1 it is known as R-precision [Xu et al. 2018, "AttnGAN"].

    Args:
        feature_extractor: a `kgen.models.DualEncoder` or a `DualFeatureExtractor`; None for features, of texts and of
            pictures.
        among: how many texts the own one is sought among; of fewer, all.
        max_samples, value_range, name: as of `RetrievalRecall`.

    Example:

    ```python
    alignment = kgen.metrics.TextAlignment(kgen.metrics.DualFeatureExtractor.clip("clip_vit_base_patch32"))
    alignment.update_state(prompts, model.generate(prompts))
    alignment.result()
    ```
    """

    measures = {"cosine": "max", "recall_at_1": "max", "recall_at_5": "max"}

    def __init__(self, feature_extractor=None, among=100, max_samples=10_000, value_range=None, name=None):
        feature_extractor = DualFeatureExtractor.of(feature_extractor)
        super().__init__(feature_extractor, among, "cosine", max_samples, value_range, name)

    def build_for(self, image_shape):
        raise ValueError("TextAlignment holds pictures against texts, which compile() cannot give it: use it alone.")

    def features_of(self, images, role, value_range=None):
        if role == "real" and self.feature_extractor is not None:
            return self.feature_extractor.text(images)
        return super().features_of(images, role, value_range)

    def compute(self):
        recalls = super().compute()
        texts, images = map(normalized, self.pairs())
        return [(texts * images).sum(axis=1).mean(), *recalls] if len(texts) else self.unknown

    def get_config(self):
        config = super().get_config()
        del config["similarity"]
        return config
