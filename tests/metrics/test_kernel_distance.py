import numpy as np
import pytest

from kgen.metrics import KernelDistance, kernel_distance
from tests.checks.metrics import check_metric
from tests.checks.published import published
from tests.metrics import measures


@pytest.mark.backends
@pytest.mark.parametrize("make_metric", [measures.kernel, measures.kernel_of_all])
def test_is_a_metric(make_metric):
    check_metric(make_metric, *measures.features())


def test_value_by_hand():
    assert kernel_distance(np.zeros((2, 1)), np.ones((2, 1))) == 7.0
    # k(x, y) = (x y + 1)^3 of {0, 1} and {1, 2}: 1 + 27 - 2 (1 + 1 + 8 + 27) / 4.
    np.testing.assert_allclose(kernel_distance(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])), 28 - 18.5)


def test_is_unbiased():
    random = np.random.default_rng(0)
    values = [kernel_distance(random.normal(size=(5, 3)), random.normal(size=(7, 3))) for _ in range(4000)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0.0


@pytest.mark.slow
def test_agrees_with_torch_fidelity(tmp_path):
    sets = [x.astype("float64") for x in measures.features(50)]
    (expected,) = published("torch_fidelity.metric_kid:kernel_mmd", [sets], tmp_path)
    np.testing.assert_allclose(kernel_distance(*sets), expected, rtol=1e-6)


def test_subsets_have_a_mean_and_a_spread():
    real, generated = measures.features(60)
    metric = KernelDistance(subsets=200, subset_size=20)
    metric.update_state(real, generated)
    results = metric.results()
    assert list(results) == ["kernel_distance", "kernel_distance_std"]
    full = kernel_distance(real, generated)
    assert results["kernel_distance_std"] > 0.0
    assert abs(results["kernel_distance"] - full) < 4 * results["kernel_distance_std"] / np.sqrt(200)


def test_names_and_arguments():
    assert KernelDistance("pixels").keys == ["kernel_distance_pixels", "kernel_distance_std_pixels"]
    assert KernelDistance(name="mine").keys == ["mine_kernel_distance", "mine_kernel_distance_std"]
    for wrong in ({"subsets": 0}, {"subset_size": 1}, {"max_samples": 1}, {"subsets": 2.0}):
        with pytest.raises(ValueError, match=f"KernelDistance: {next(iter(wrong))}"):
            KernelDistance(**wrong)


def test_beyond_its_size_the_sample_is_fair():
    real, generated = measures.features(4000)
    metric = KernelDistance(subset_size=500, max_samples=1000)
    for start in range(0, 4000, 250):
        metric.update_state(real[start : start + 250], generated[start : start + 250])
    for sample, features in ((metric.real.read(), real), (metric.generated.read(), generated)):
        assert sample.shape == (1000, 5)
        error = features.std(axis=0) / np.sqrt(1000)
        assert (abs(sample.mean(axis=0) - features.mean(axis=0)) < 4 * error).all()
    assert np.isfinite(list(metric.results().values())).all()


def test_one_subset_has_no_spread():
    real, generated = measures.features(8)
    metric = KernelDistance(subset_size=1000)
    metric.update_state(real, generated)
    results = metric.results()
    assert results["kernel_distance"] == pytest.approx(kernel_distance(real, generated))
    assert np.isnan(results["kernel_distance_std"])
