import numpy as np
import pytest

from kgen.metrics import PrecisionRecall
from tests.checks.metrics import check_metric
from tests.metrics import measures


@pytest.mark.backends
def test_is_a_metric():
    check_metric(measures.precision_recall, *measures.features())


def test_a_narrow_generator_has_precision_and_no_recall():
    random = np.random.default_rng(0)
    real = random.normal(size=(400, 3)).astype("float32")
    metric = PrecisionRecall()
    metric.update_state(real, 0.05 * random.normal(size=(400, 3)).astype("float32"))
    results = metric.results()
    assert list(results) == ["precision", "recall"]
    assert results["precision"] > 0.95 and results["recall"] < 0.05
    metric.reset_state()
    metric.update_state(real, 30.0 + real)
    assert metric.results() == {"precision": 0.0, "recall": 0.0}


def test_too_few_pictures_are_undefined():
    metric = PrecisionRecall(neighbors=5)
    metric.update_state(*(x[:5] for x in measures.features()))
    with pytest.warns(UserWarning, match="at least 6 real pictures; got 5"):
        assert np.isnan(list(metric.results().values())).all()


def test_arguments():
    with pytest.raises(ValueError, match="PrecisionRecall: neighbors"):
        PrecisionRecall(neighbors=0)
