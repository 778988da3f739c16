import keras
import numpy as np
import pytest

from kgen.metrics import FeatureExtractor, ReconstructionError, peak_signal_to_noise_ratio, structural_similarity
from tests.checks.metrics import check_metric
from tests.metrics import measures


@pytest.mark.backends
def test_is_a_metric():
    check_metric(measures.reconstruction, *measures.images(), tolerance=1e-6)


@pytest.mark.backends
def test_is_the_mean_over_images():
    real, generated = measures.images(40)
    metric = ReconstructionError()
    metric.update_state(real, generated)
    results = metric.results()
    assert list(results) == ["psnr", "ssim"] and metric.directions == {"psnr": "max", "ssim": "max"}
    for name, function in (("psnr", peak_signal_to_noise_ratio), ("ssim", structural_similarity)):
        values = function(real.astype("float32"), generated.astype("float32"))
        np.testing.assert_allclose(results[name], keras.ops.convert_to_numpy(values).mean(), rtol=1e-5)


@pytest.mark.backends
def test_perceptual_distance_carries_the_name_of_its_features():
    network = measures.small_network()
    maps = keras.Model(network.inputs, [network.layers[0].output])
    metric = ReconstructionError(FeatureExtractor(network, maps=maps))
    real, generated = measures.images(8)
    metric.update_state(real, real)
    assert metric.results()["perceptual_distance_small"] == 0.0
    metric.update_state(real, generated)
    assert metric.results()["perceptual_distance_small"] > 0.0
    assert metric.directions["perceptual_distance_small"] == "min"
    with pytest.raises(ValueError, match="'small' has no feature maps"):
        ReconstructionError(network)


@pytest.mark.backends
def test_a_keras_model_shows_it_while_it_trains():
    model = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Conv2D(3, 3, padding="same")])
    model.compile("sgd", "mse", metrics=[ReconstructionError(value_range=(-100, 100))])
    images = measures.images(16)[0] / np.float32(255)
    seen = []
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["psnr"]))
    history = model.fit(images, images, batch_size=8, verbose=0, callbacks=[watch]).history
    assert len(seen) == 2 and np.isfinite(seen).all()
    np.testing.assert_allclose(history["psnr"][-1], seen[-1], rtol=1e-4)
    assert np.isfinite(model.evaluate(images, images, verbose=0, return_dict=True)["ssim"])


def test_images_that_do_not_match_are_refused():
    real, generated = measures.images(4)
    with pytest.raises(ValueError, match="compares image i with image i, .*; got 4 and 3"):
        ReconstructionError().update_state(real, generated[:3])
    with pytest.raises(ValueError, match="the same shape"):
        ReconstructionError().update_state(real, generated[:, :12])
    with pytest.raises(ValueError, match="11"):
        ReconstructionError().update_state(real[:, :8, :8], generated[:, :8, :8])
