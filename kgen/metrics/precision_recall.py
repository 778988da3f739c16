"""Precision and recall of a generator."""

from __future__ import annotations

import keras

from kgen.metrics.nearest_neighbors import precision_recall
from kgen.metrics.sample_metric import SampleMetric, check_count


@keras.saving.register_keras_serializable(package="kgen")
class PrecisionRecall(SampleMetric):
    """How much of what is generated looks real, and how much of what is real can be generated; 1 is best for both.

    Precision is the share of generated pictures within the reach of a real one, which is as far as its k-th nearest
    real neighbour; recall the share of real ones within the reach of a generated one [Kynkaanniemi et al. 2019,
    "Improved precision and recall metric for assessing generative models"]. Both grow with the number of pictures.

    Args:
        feature_extractor, reference, max_samples, value_range, name: as of `SampleMetric`.
        neighbors: k.

    Example:

    ```python
    measure = kgen.metrics.PrecisionRecall("efficientnet_lite0")
    measure.update_state(real, model.generate(1000))
    measure.result()     # {"precision_efficientnet_lite0": ..., "recall_efficientnet_lite0": ...}
    ```
    """

    measures = {"precision": "max", "recall": "max"}

    def __init__(self, feature_extractor=None, reference=None, neighbors=3, **kwargs):
        self.neighbors = check_count(type(self).__name__, "neighbors", neighbors)
        self.least = neighbors + 1
        super().__init__(feature_extractor, reference, **kwargs)

    def compare(self, real, generated):
        return precision_recall(real, generated, self.neighbors)

    def get_config(self):
        return {**super().get_config(), "neighbors": self.neighbors}
