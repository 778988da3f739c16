import keras
import numpy as np
import pytest

from kgen.metrics import (
    ClassifierScore,
    DensityCoverage,
    FeatureExtractor,
    FeatureMetric,
    FrechetDistance,
    KernelDistance,
    PrecisionRecall,
    ReconstructionError,
    update_all,
)
from kgen.metrics.feature_metric import Undefined, checked_features, pixels_of
from tests.metrics import measures


class Spread(FeatureMetric):
    """What a person would write: the mean distance of the mean features."""

    measures = {"spread": "min"}

    def create(self, dim):
        self.total = self.add_variable((dim,), initializer="zeros", name="total")

    def update_features(self, real, generated):
        self.total.assign_add(keras.ops.sum(keras.ops.abs(real - generated), axis=0))

    def compute(self):
        value = float(keras.ops.sum(self.total))
        if value > 1e6:
            raise Undefined("it is too large.")
        return [value]


# === Names and results ===
@pytest.mark.backends
def test_one_number_is_a_number_and_several_a_dict():
    metric = Spread()
    assert metric.name == "spread" and np.isnan(metric.result())
    metric.update_state(np.ones((2, 3), "float32"), np.zeros((2, 3), "float32"))
    assert metric.result() == 6.0 and metric.results() == {"spread": 6.0}
    metric.update_state(np.full((1, 3), 1e7, "float32"), np.zeros((1, 3), "float32"))
    with pytest.warns(UserWarning, match="spread is not defined: it is too large"):
        assert np.isnan(metric.result())
    assert DensityCoverage("pixels").keys == ["density_pixels", "coverage_pixels"]
    assert PrecisionRecall().directions == {"precision": "max", "recall": "max"}


def test_a_metric_is_saved_by_the_name_of_its_features():
    for metric in (
        FrechetDistance("pixels", value_range=(0, 1), name="mine"),
        KernelDistance("pixels", subsets=3, subset_size=7, seed=2, max_samples=50),
        PrecisionRecall("pixels", neighbors=2),
        ReconstructionError(),
    ):
        again = type(metric).from_config(metric.get_config())
        assert again.get_config() == metric.get_config() and again.keys == metric.keys
    with pytest.raises(ValueError, match="'small' cannot be saved"):
        FrechetDistance(measures.small_network()).get_config()


# === Images ===
@pytest.mark.backends
def test_images_are_measured_by_the_features_of_the_extractor():
    extractor = FeatureExtractor(measures.small_network(), image_size=12)
    real, generated = measures.images()
    expected = FrechetDistance()
    expected.update_state(extractor.extract(real), extractor.extract(generated))
    metric = FrechetDistance(extractor)
    for start in range(0, len(real), 10):
        metric.update_state(real[start : start + 10], generated[start : start + 10])
    assert metric.name == "frechet_distance_small"
    np.testing.assert_allclose(metric.result(), expected.result(), rtol=1e-4)


@pytest.mark.backends
@pytest.mark.parametrize("value_range", [(0, 1), (-1, 1)])
def test_floats_in_a_range_that_is_named_are_the_same_images(value_range):
    real, generated = measures.images(12)
    low, high = value_range

    def floats(images):
        return (images / 255 * (high - low) + low).astype("float32")

    expected, metric = ReconstructionError(), ReconstructionError(value_range=value_range)
    expected.update_state(real, generated)
    metric.update_state(floats(real), floats(generated))
    for name, value in expected.results().items():
        np.testing.assert_allclose(metric.results()[name], value, rtol=1e-4)


@pytest.mark.backends
def test_images_that_cannot_be_meant_are_refused():
    images = np.zeros((2, 8, 8, 3), "float32")
    metric = FrechetDistance("pixels", value_range=(0, 1))
    for wrong, message in (
        (images - 0.5, r"must be in value_range=\(0, 1\); got values from -0.5 to -0.5"),
        (images + 255.0, r"got values from 255 to 255"),
        (images + np.nan, "must be finite"),
        (images[0], r"Turn a single image into a batch with images\[None\]"),
        (images[:0], "must not be empty"),
        (images[..., :2], "1 or 3"),
    ):
        with pytest.raises(ValueError, match=f"FrechetDistance: generated images.*{message}"):
            metric.update_state(images, wrong)
    with pytest.raises(TypeError, match="must be uint8 or float; got int64"):
        metric.update_state(images, images.astype("int64"))
    with pytest.raises(TypeError, match="must be an array"):
        metric.update_state(images, "images")
    with pytest.raises(ValueError, match="Pass value_range"):
        FrechetDistance("pixels").update_state(images, images)
    with pytest.raises(ValueError, match="Pass a feature_extractor to measure images"):
        FrechetDistance().update_state(images, images)
    with pytest.raises(ValueError, match="value_range must be"):
        FrechetDistance(value_range=(1, 0))


@pytest.mark.backends
def test_constant_images_have_numbers():
    metrics = [kind("pixels") for kind in (FrechetDistance, KernelDistance, PrecisionRecall, DensityCoverage)]
    same = np.full((8, 4, 4, 3), 7, "uint8")
    update_all(metrics, same, same)
    results = {name: value for metric in metrics for name, value in metric.results().items()}
    assert results["frechet_distance_pixels"] == pytest.approx(0.0, abs=1e-9)
    assert results["kernel_distance_pixels"] == pytest.approx(0.0, abs=1e-9)
    assert results["precision_pixels"] == results["recall_pixels"] == results["coverage_pixels"] == 1.0


def test_features_of_different_lengths_are_refused():
    metric = FrechetDistance()
    with pytest.raises(ValueError, match=r"must have the same length; got lengths \[2, 3\]"):
        metric.update_state(np.ones((4, 2)), np.ones((4, 3)))
    metric.update_state(np.ones((4, 2)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="the same length"):
        metric.update_state(np.ones((4, 3)), np.ones((4, 3)))


def test_doors():
    images = np.zeros((1, 4, 4, 1), "uint8")
    assert pixels_of("x", images) is images
    np.testing.assert_allclose(pixels_of("x", images / np.float32(1) + 1, (-1, 1)), 255.0)
    assert checked_features("x", np.ones((2, 2), "float16")).dtype == "float16"


# === Several together ===
class Counting(FeatureExtractor):
    """Counts how often it is asked."""

    count = 0

    def extract(self, images, *args, **kwargs):
        Counting.count += 1
        return super().extract(images, *args, **kwargs)


def test_several_metrics_share_features():
    network = measures.small_network(outputs=3)
    metrics = [kind(Counting(network)) for kind in (FrechetDistance, KernelDistance, PrecisionRecall)]
    probability = keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()])
    probability.add(keras.layers.Softmax())
    real, generated = measures.images(12)
    Counting.count = 0
    update_all([*metrics, ClassifierScore(probability), ReconstructionError()], real, generated)
    assert Counting.count == 2
    alone = KernelDistance(network)
    alone.update_state(real, generated)
    assert metrics[1].results() == pytest.approx(alone.results(), rel=1e-5, nan_ok=True)
