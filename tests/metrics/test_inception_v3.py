import keras
import numpy as np
import pytest

import kgen.metrics.inception_v3 as module
from kgen.metrics.feature_extractor import FeatureExtractor
from kgen.metrics.inception_v3 import inception_v3


def make_images(count=2, size=64):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype("uint8")


def test_prepares_images_as_clean_fid_and_keras_do():
    clean_fid = pytest.importorskip("cleanfid.resize")
    extractor, images = inception_v3(weights=None), make_images()
    resized = np.stack([clean_fid.build_resizer("clean")(image) for image in images])
    inputs = keras.applications.inception_v3.preprocess_input(resized)
    wanted = keras.ops.convert_to_numpy(extractor.network(inputs, training=False))
    np.testing.assert_allclose(extractor.extract(images), wanted, atol=1e-4 * wanted.max())


def test_is_made_once_and_named_for_what_it_is():
    extractor = inception_v3(weights=None)
    assert inception_v3(weights=None) is extractor and extractor.name == "inception_v3_random"
    assert extractor.spec is None and not extractor.network.trainable_variables
    assert extractor.dim((32, 32, 1)) == 2048 and extractor.image_size == (299, 299)


@pytest.fixture
def small_inception(monkeypatch):
    """A network of a moment in the place of one of 20 million weights, that notes what it was asked for."""
    asked = {}

    def build(**options):
        asked.update(options)
        inputs = keras.Input(options["input_shape"])
        outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3, strides=99)(inputs))
        network = keras.Model(inputs, outputs, name=options["name"])
        if options["weights"] not in ("imagenet", None):
            network.load_weights(options["weights"])
        return network

    monkeypatch.setattr(keras.applications, "InceptionV3", build)
    return asked


@pytest.mark.backends
@pytest.mark.parametrize("output, top", [("features", False), ("probabilities", True)])
def test_names_and_what_keras_is_asked_for(small_inception, output, top):
    extractor = inception_v3.__wrapped__(output)
    assert small_inception["include_top"] is top and small_inception["weights"] == "imagenet"
    assert small_inception["pooling"] == "avg" and small_inception["input_shape"] == (299, 299, 3)
    assert extractor.name == extractor.spec == ("inception_v3_probabilities" if top else "inception_v3")
    assert extractor.extract(make_images()).shape == (2, 2)


def test_weights_from_a_file(small_inception, tmp_path):
    first = inception_v3.__wrapped__(weights=None)
    path = str(tmp_path / "inception.weights.h5")
    first.network.save_weights(path)
    second = inception_v3.__wrapped__(weights=path)
    np.testing.assert_array_equal(first.extract(make_images()), second.extract(make_images()))
    assert second.name == "inception_v3" and second.spec is None and first.key["weights"] == second.key["weights"]
    (tmp_path / "broken.weights.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="could not load weights="):
        inception_v3.__wrapped__(weights=str(tmp_path / "broken.weights.h5"))


def test_half_precision_does_not_reach_it(small_inception):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        network = inception_v3.__wrapped__().network
        assert keras.config.dtype_policy().name == "mixed_float16"
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.compute_dtype == "float32" and {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_of_finds_it(monkeypatch):
    monkeypatch.setattr(module, "inception_v3", lambda output: output)
    assert FeatureExtractor.of("inception_v3") == "features"
    assert FeatureExtractor.of("inception_v3_probabilities") == "probabilities"


def test_what_is_wrong_is_said(monkeypatch):
    with pytest.raises(ValueError, match='output must be "features" or "probabilities"; got \'logits\''):
        inception_v3("logits")
    with pytest.raises(ValueError, match="there is no file 'missing.h5'"):
        inception_v3(weights="missing.h5")

    def no_network(**_):
        raise Exception("URL fetch failure on https://storage.googleapis.com/...: None -- unreachable")

    monkeypatch.setattr(keras.applications, "InceptionV3", no_network)
    with pytest.raises(ConnectionError, match="could not be downloaded: URL fetch failure.*weights=path.*efficientnet"):
        inception_v3.__wrapped__()
