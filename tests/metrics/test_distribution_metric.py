import numpy as np
import pytest

from kgen.metrics import FrechetDistance, KernelDistance, ReferenceStatistics
from kgen.metrics.distribution_metric import SampleMetric
from kgen.metrics.running_moments import Moments
from tests.metrics import measures


class Stub(ReferenceStatistics):
    """A reference of given features."""

    def __init__(self, features):
        wide = features.astype("float64")
        moments = Moments(len(features), wide.mean(axis=0), np.cov(wide, rowvar=False))
        super().__init__({}, moments, features)

    def check_features(self, owner, extractor):
        """Features are compared as they are."""


@pytest.mark.backends
@pytest.mark.parametrize("kind", [FrechetDistance, KernelDistance])
def test_a_reference_takes_the_place_of_real_images(kind):
    real, generated = measures.features()
    both, referred = kind(), kind(reference=Stub(real))
    both.update_state(real, generated)
    referred.update_state(None, generated)
    assert referred.results() == pytest.approx(both.results(), rel=1e-9, nan_ok=True)
    assert both.needs_real and not referred.needs_real
    # The real side has no variables that would only take memory.
    assert len(referred.variables) < len(both.variables)
    referred.reset_state()
    referred.update_state(None, generated)
    assert referred.results() == pytest.approx(both.results(), rel=1e-9, nan_ok=True)


def test_real_images_beside_a_reference_are_refused():
    real, generated = measures.features()
    with pytest.raises(ValueError, match="the reference already describes the real images"):
        FrechetDistance(reference=Stub(real)).update_state(real, generated)
    with pytest.raises(ValueError, match="with a reference cannot be saved"):
        FrechetDistance(reference=Stub(real)).get_config()


@pytest.mark.parametrize("role", ["real", "generated"])
def test_what_is_not_finite_is_named(role):
    sets = dict(zip(("real", "generated"), measures.features()))
    sets[role][5, 2] = np.inf
    for metric in (FrechetDistance(), KernelDistance()):
        metric.update_state(sets["real"], sets["generated"])
        with pytest.warns(UserWarning, match=f"features of {role} images are NaN or infinite"):
            assert np.isnan(list(metric.results().values())).all()


# === Samples ===
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
    assert Sizes(max_samples=np.int64(3)).max_samples == 3
