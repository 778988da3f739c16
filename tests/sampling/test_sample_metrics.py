import contextlib
import sys

import keras
import numpy as np
import pytest

from kgen.metrics import (
    ClassifierScore,
    FeatureExtractor,
    FrechetDistance,
    KernelDistance,
    ReconstructionError,
    RetrievalRecall,
    TextAlignment,
    peak_signal_to_noise_ratio,
)
from tests.checks.processes import in_new_process, replicas
from tests.models import tiny


def network(name="small"):
    """Features of the tiny pictures."""
    dense = keras.layers.Dense(3, kernel_initializer=keras.initializers.RandomNormal(0.1, seed=1))
    return keras.Sequential([keras.Input(tiny.SHAPE), keras.layers.Flatten(), dense], name=name)


def pictures(n=24):
    return np.random.default_rng(0).integers(0, 256, (n, *tiny.SHAPE), "uint8")


# === Names ===
@pytest.mark.parametrize("metrics", ["kernel_distance", ["kernel_distance", "reconstruction_error"]])
def test_metrics_by_name(metrics, monkeypatch):
    monkeypatch.setattr(sys.modules["kgen.metrics.by_name"].named_metric, "__defaults__", ("pixels", "pixels"))
    model = tiny.vae()
    model.compile(metrics=metrics)
    kinds = [type(metric) for metric in model.sample_metrics.all]
    assert kinds == [KernelDistance, ReconstructionError][: len(kinds)] and len(kinds) in (1, 2)
    assert model.sample_metrics.all[0].keys[0] == "kernel_distance_pixels"


def test_names_are_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["kgen.metrics.by_name"].named_metric, "__defaults__", ("pixels", "pixels"))
    model = tiny.vae()
    model.compile(metrics="kernel_distance")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [type(metric) for metric in loaded.sample_metrics.all] == [KernelDistance]


def test_a_metric_alone_is_a_list_of_one():
    model = tiny.vae()
    model.compile(metrics=KernelDistance("pixels"))
    assert [type(metric) for metric in model.sample_metrics.all] == [KernelDistance]


def test_a_name_that_is_none():
    with pytest.raises(ValueError, match="GAN.compile: metrics: unknown metric 'fid'; choose from frechet_distance,"):
        tiny.gan().compile(metrics="fid")


# === What is measured ===
@pytest.mark.backends
def test_evaluate_measures_what_the_model_draws():
    extractor = FeatureExtractor(network())
    model = tiny.gan()
    model.compile(metrics=[FrechetDistance(extractor), KernelDistance(extractor, max_samples=30)])
    images = pictures()
    model.fit(images, batch_size=8, verbose=0)
    drawn = []

    def watched(batch, paired, counterparts=model.counterparts):
        result = counterparts(batch, paired)
        drawn.append(keras.ops.convert_to_numpy(result[1]))
        return result

    model.counterparts = watched
    model.run_eagerly = True
    model.make_test_function(force=True)
    if keras.backend.backend() == "jax":
        pytest.skip("JAX traces a step even where it runs eagerly")
    results = model.evaluate(images, batch_size=10, verbose=0, return_dict=True)
    generated = np.round((np.concatenate(drawn).clip(-1, 1) + 1) * 127.5).astype("uint8")
    assert len(generated) == len(images)
    expected = FrechetDistance(extractor)
    expected.update_state(images, generated)
    np.testing.assert_allclose(results[expected.name], expected.result(), rtol=1e-4)
    assert list(results) == [*model.trackers, *(key for metric in model.sample_metrics.all for key in metric.keys)]


@pytest.mark.backends
def test_validation_has_the_numbers_and_training_has_not():
    model = tiny.vae()
    model.compile(metrics=[FrechetDistance(network()), RetrievalRecall("pixels", among=16)])
    history = model.fit(pictures(), batch_size=8, epochs=2, validation_data=pictures(16), verbose=0).history
    assert len(history["val_frechet_distance_small"]) == 2 and "frechet_distance_small" not in history
    assert np.isfinite(history["val_frechet_distance_small"]).all()
    listed = model.evaluate(pictures(16), verbose=0)
    assert len(listed) == len(model.trackers) + 3


def _without_ssim(self, real, generated):
    # SSIM needs 11 pixels a side; the tiny pictures have 8.
    values = peak_signal_to_noise_ratio(keras.ops.cast(real, "float32"), keras.ops.cast(generated, "float32"))
    return keras.ops.sum(keras.ops.ones_like(values)), keras.ops.stack([keras.ops.sum(values)] * 2)


def test_a_vae_is_held_against_its_reconstructions(monkeypatch):
    monkeypatch.setattr(ReconstructionError, "_errors", _without_ssim)
    model = tiny.vae()
    metric = ReconstructionError()
    model.compile(metrics=[metric])
    images = pictures(8)
    results = model.evaluate(images, batch_size=8, verbose=0, return_dict=True)
    reconstructed = keras.ops.convert_to_numpy(model(images / np.float32(127.5) - 1))
    reconstructed = np.round((reconstructed.clip(-1, 1) + 1) * 127.5).astype("uint8")
    expected = ReconstructionError()
    expected.update_state(images, reconstructed)
    np.testing.assert_allclose(results["psnr"], expected.results()["psnr"], rtol=1e-4)


def test_training_is_the_same_with_and_without():
    states = []
    for metrics in (None, [FrechetDistance(network())]):
        keras.utils.set_random_seed(0)
        model = tiny.gan()
        model.compile(metrics=metrics)
        model.fit(pictures(), batch_size=8, epochs=2, validation_data=pictures(8), shuffle=False, verbose=0)
        states.append(model.get_weights() + [keras.ops.convert_to_numpy(v) for v in model.optimizer.variables])
    # The metric's own state and the seeds of evaluation are no part of training.
    assert len(states[0]) == len(states[1])
    trained = [(a, b) for a, b in zip(*states) if a.dtype != "uint32"]
    assert all(np.array_equal(a, b) for a, b in trained)


def test_a_picture_of_nan_is_not_a_black_one():
    model = tiny.gan()
    model.compile(metrics=[FrechetDistance(network()), KernelDistance(network("other"), max_samples=30)])
    for variable in model.average.network.variables:
        variable.assign(keras.ops.full(variable.shape, np.nan))
    with pytest.warns(UserWarning, match="features of generated .* are NaN"):
        results = model.evaluate(pictures(), verbose=0, return_dict=True)
    assert np.isnan(results["frechet_distance_small"]) and np.isnan(results["kernel_distance_other"])


def test_labels_reach_the_generator():
    model = tiny.gan(num_classes=tiny.CLASSES)
    model.compile(metrics=[FrechetDistance(network())])
    labels = np.arange(24) % tiny.CLASSES
    assert np.isfinite(model.evaluate(pictures(), labels, verbose=0, return_dict=True)["frechet_distance_small"])


# === Saving ===
def test_what_is_saved(tmp_path):
    model = tiny.gan()
    model.compile(metrics=[FrechetDistance("pixels"), ClassifierScore(network("judge"))])
    with pytest.warns(UserWarning, match="classifier_score_judge is not saved with the model"):
        model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert [metric.name for metric in loaded.sample_metrics.all] == ["frechet_distance_pixels"]
    bare = tiny.gan()
    bare.compile()
    bare.save(tmp_path / "bare.keras")
    # Neither the sums (192 x 192 numbers twice) nor the judge's weights are in the file.
    sizes = [(tmp_path / name).stat().st_size for name in ("model.keras", "bare.keras")]
    assert sizes[0] - sizes[1] < 20_000
    assert np.isfinite(loaded.evaluate(pictures(), verbose=0, return_dict=True)["frechet_distance_pixels"])


# === What cannot be ===
def test_metrics_that_do_not_suit_are_refused():
    model = tiny.gan()
    for metrics, error, message in (
        ([keras.metrics.Mean()], TypeError, "metrics must be metrics of kgen.metrics"),
        (["fid"], ValueError, "unknown metric 'fid'"),
        ([RetrievalRecall("pixels")], ValueError, "does not generate counterparts of single images"),
        ([FrechetDistance()], ValueError, "needs a feature_extractor"),
        ([FrechetDistance("pixels")] * 2, ValueError, "different names"),
    ):
        with pytest.raises(error, match=message):
            model.compile(metrics=metrics)
    with pytest.raises(ValueError, match="which compile.. cannot pass to it"):
        tiny.vae().compile(metrics=[TextAlignment()])


# === Replicas ===
@pytest.mark.slow
def test_replicas_measure_every_picture(tensorflow_backend):
    alone, together = in_new_process(measure_on_two_replicas, backend="tensorflow")
    assert together["count"] == alone["count"] == 22
    np.testing.assert_allclose(together["real_mean"], alone["real_mean"], rtol=1e-6)
    assert np.isfinite(together["distance"])


def measure_on_two_replicas():
    strategy = replicas()
    results = []
    for scope in (None, strategy):
        keras.utils.set_random_seed(0)
        with scope.scope() if scope else contextlib.nullcontext():
            model = tiny.gan()
            metric = FrechetDistance(network())
            model.compile(metrics=[metric])
        logs = model.evaluate(pictures(22), batch_size=8, verbose=0, return_dict=True)
        moments = metric.real.read()
        distance = logs["frechet_distance_small"]
        results.append({"count": moments.count, "real_mean": moments.mean, "distance": distance})
    return results
