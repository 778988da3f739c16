"""What the measures that need features themselves share, not only their moments."""

from __future__ import annotations

from kgen.metrics.distribution_metric import DistributionMetric
from kgen.metrics.running_sample import RunningSample


class SampleMetric(DistributionMetric):
    """Base of the measures of a sample of features: all of them up to `max_samples` a side, beyond a fair sample.

    Args:
        feature_extractor, reference, value_range, name: as of `DistributionMetric`.
        max_samples: the most feature vectors kept of either side; memory is for as many from the start.
    """

    def __init__(self, feature_extractor=None, reference=None, max_samples=10_000, value_range=None, name=None):
        super().__init__(feature_extractor, reference, value_range, name)
        self.max_samples = check_count(type(self).__name__, "max_samples", max_samples, self.least)

    def summary(self, name, dim):
        return RunningSample(self, name, dim, self.max_samples)

    def get_config(self):
        return {**super().get_config(), "max_samples": self.max_samples}


def check_count(owner, name, value, least=1):
    """`value`; raises ValueError unless it is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{owner}: {name} must be an integer of at least {least}; got {value!r}.")
    return value
