import numpy as np
import pytest

from kgen.metrics import DensityCoverage, PrecisionRecall
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


def test_too_few_images_are_undefined():
    metric = PrecisionRecall(neighbors=5)
    metric.update_state(*(x[:5] for x in measures.features()))
    with pytest.warns(UserWarning, match="at least 6 real images; got 5"):
        assert np.isnan(list(metric.results().values())).all()


def test_arguments():
    with pytest.raises(ValueError, match="PrecisionRecall: neighbors"):
        PrecisionRecall(neighbors=0)


# === Density and coverage ===
@pytest.mark.backends
def test_density_and_coverage_are_a_metric():
    check_metric(measures.density_coverage, *measures.features())


def test_coverage_counts_the_modes_that_were_reached():
    random = np.random.default_rng(0)
    modes = np.repeat([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0], [50.0, 50.0]], 100, axis=0)
    real = (modes + random.normal(size=modes.shape)).astype("float32")
    one_mode = random.normal(size=modes.shape).astype("float32")
    metric = DensityCoverage()
    metric.update_state(real, one_mode)
    assert 0.2 < metric.results()["coverage"] <= 0.25
    assert metric.keys == ["density", "coverage"] and metric.neighbors == 5


def test_arguments_of_density_and_coverage():
    with pytest.raises(ValueError, match="DensityCoverage: neighbors"):
        DensityCoverage(neighbors=0)
