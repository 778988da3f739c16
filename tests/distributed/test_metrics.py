"""Measures that replicas of `tf.distribute` share."""

import importlib.util

import numpy as np
import pytest

from tests.checks.metrics import check_metric_replicas
from tests.metrics import measures

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("tensorflow"), reason="tf.distribute needs TensorFlow")


@pytest.mark.slow
def test_replicas_are_one_device():
    features, probabilities = measures.features(34), measures.probabilities(34)
    images = measures.images(18)
    check_metric_replicas(
        [
            (measures.frechet, *features),
            (measures.kernel, *features),
            (measures.precision_recall, *features),
            (measures.density_coverage, *features),
            (measures.retrieval, *features),
            (measures.alignment, *features),
            (measures.classifier_score, *probabilities),
            (measures.reconstruction, *images),
        ],
        tolerance=1e-7,
    )


def test_more_replicas_than_room():
    """Each replica keeps its share of a sample that is smaller than what was seen."""
    check_metric_replicas([(small_sample, np.ones((34, 2), "float32"), np.zeros((34, 2), "float32"))])


def small_sample():
    from kgen.metrics import KernelDistance

    # More than one subset: the deviation over a single one is NaN.
    return KernelDistance(subset_size=4, max_samples=8)
