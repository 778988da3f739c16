import numpy as np
import pytest

from kgen.metrics import ClassifierScore
from tests.checks.metrics import check_metric
from tests.checks.published import published
from tests.metrics import measures


@pytest.mark.backends
def test_is_a_metric():
    check_metric(measures.classifier_score, *measures.probabilities().astype("float32"), tolerance=1e-7)


def test_values_by_hand():
    def score(rows):
        metric = ClassifierScore()
        metric.update_state(None, np.asarray(rows, "float64"))
        return metric.result()

    # Sure of each and all different; sure and all the same; never sure.
    np.testing.assert_allclose(score(np.eye(4)), 4.0, rtol=1e-9)
    np.testing.assert_allclose(score([[1.0, 0.0, 0.0]] * 5), 1.0, rtol=1e-9)
    np.testing.assert_allclose(score(np.full((5, 3), 1 / 3)), 1.0, rtol=1e-9)
    p, q = np.array([0.9, 0.1]), np.array([0.3, 0.7])
    middle = (p + q) / 2
    expected = np.exp(np.mean([(x * np.log(x / middle)).sum() for x in (p, q)]))
    np.testing.assert_allclose(score([p, q]), expected, rtol=1e-9)


@pytest.mark.slow
def test_agrees_with_torch_fidelity(tmp_path):
    logits = np.random.default_rng(0).normal(size=(60, 7))
    name = "torch_fidelity.metric_isc:isc_features_to_metric"
    (expected,) = published(name, [[logits]], tmp_path, as_tensors=True, splits=1, shuffle=False)
    metric = ClassifierScore()
    metric.update_state(None, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(metric.result(), expected["inception_score_mean"], rtol=1e-6)


def test_logits_are_refused():
    with pytest.raises(ValueError, match="end in a softmax"):
        ClassifierScore().update_state(None, np.ones((4, 3), "float32"))
