import numpy as np
import pytest

from kgen.metrics import DensityCoverage
from tests.checks.metrics import check_metric
from tests.metrics import measures


@pytest.mark.backends
def test_is_a_metric():
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


def test_arguments():
    with pytest.raises(ValueError, match="DensityCoverage: neighbors"):
        DensityCoverage(neighbors=0)
