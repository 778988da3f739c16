import pytest

from kgen.metrics.sample_metric import SampleMetric, check_count
from tests.metrics import measures


class Sizes(SampleMetric):
    """How many features of either side were kept."""

    measures = {"real_size": "max", "generated_size": "max"}

    def compare(self, real, generated):
        return [len(real), len(generated)]


@pytest.mark.backends
def test_keeps_no_more_than_it_was_told():
    metric = Sizes(max_samples=10)
    for _ in range(3):
        metric.update_state(*measures.features(7))
    assert metric.results() == {"real_size": 10.0, "generated_size": 10.0}
    assert metric.get_config()["max_samples"] == 10


@pytest.mark.parametrize("value", [1, 2.5, True, "many"])
def test_counts_are_checked(value):
    with pytest.raises(ValueError, match="Sizes: max_samples must be an integer of at least 2"):
        Sizes(max_samples=value)
    assert check_count("x", "n", 3) == 3
