import keras
import numpy as np
import pytest

import kgen  # noqa: F401  load_model knows its classes by it
from kgen.metrics import FrechetDistance
from kgen.models import ImageSegmenter
from tests.models import tiny
from tests.models.test_recognition_model import backbone, masks


@pytest.fixture(scope="module")
def trained():
    model = ImageSegmenter(backbone(), class_names=["dark", "bright"], filters=4, ema_momentum=0.9, seed=0)
    model.compile(keras.optimizers.Adam(0.03))
    model.fit(tiny.bands()[0], masks(), epochs=4, batch_size=16, verbose=0)
    return model


@pytest.mark.backends
def test_segment(trained, tmp_path):
    images = tiny.bands()[0]
    seen = trained.segment(images)
    assert seen.shape == (96, 8, 8) and seen.dtype == "uint8"
    logs = trained.evaluate(images, masks(), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "cross_entropy", "dice", "mean_iou"} and logs["mean_iou"] > 0.9
    shares = [
        np.logical_and(seen == k, masks() == k).sum() / np.logical_or(seen == k, masks() == k).sum() for k in (0, 1)
    ]
    np.testing.assert_allclose(logs["mean_iou"], np.mean(shares), rtol=1e-5)
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.segment(images), seen)
    assert (again.class_names, again.filters, again.num_classes) == (["dark", "bright"], 4, 2)


@pytest.mark.backends
def test_metrics_of_keras(trained):
    metrics = [
        keras.metrics.CategoricalAccuracy(name="right"),
        keras.metrics.OneHotIoU(2, [0, 1], name="iou"),
    ]
    trained.compile(trained.optimizer, metrics=metrics)
    logs = trained.evaluate(tiny.bands()[0], masks(), batch_size=25, verbose=0, return_dict=True)
    np.testing.assert_allclose(logs["right"], np.mean(trained.segment(tiny.bands()[0]) == masks()), rtol=1e-5)
    np.testing.assert_allclose(logs["iou"], logs["mean_iou"], rtol=1e-5)
    with pytest.raises(TypeError, match="ImageSegmenter.compile: metrics must be Keras metrics of answers"):
        trained.compile(metrics=[FrechetDistance("pixels")])


def test_export(trained, tmp_path, tensorflow_backend):
    import tensorflow as tf

    trained.export(tmp_path / "saved_model")
    images = tiny.bands(5)[0]
    served = tf.saved_model.load(tmp_path / "saved_model").signatures["serving_default"](images=tf.constant(images))
    np.testing.assert_array_equal(served["masks"], trained.segment(images))


def test_from_image_shape():
    model = ImageSegmenter.from_image_shape((32, 32, 3), num_classes=7)
    assert model(np.zeros((1, 32, 32, 3), "float32")).shape == (1, 32, 32, 7)


def test_what_is_wrong(trained):
    with pytest.raises(ValueError, match="ImageSegmenter: masks must be given; call fit.images, masks"):
        trained.fit(tiny.bands()[0])
    with pytest.raises(ValueError, match="has no feature maps"):
        ImageSegmenter(tiny.encoder(3), 2)
