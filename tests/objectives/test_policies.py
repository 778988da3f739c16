"""Every objective under each of Keras' global settings, with plain Keras networks and with kgen's own."""

import keras
import numpy as np
import pytest
from keras import layers

from kgen.layers import GaussianNoise
from kgen.losses import R1, R2, Dragan, GradientPenalty
from kgen.models import CycleGAN, ImageClassifier, ImageRestorer, ImageSegmenter
from tests.models import tiny, tiny_style, tiny_text

SETTINGS = ["mixed_bfloat16", "mixed_float16", "float64", "channels_first"]
SIDE = 16


@pytest.fixture(params=SETTINGS)
def setting(request):
    """Sets one of Keras' global settings, and puts it back."""
    before = keras.config.dtype_policy(), keras.config.floatx(), keras.config.image_data_format()
    if request.param == "channels_first":
        keras.config.set_image_data_format(request.param)
    elif request.param == "float64":
        if keras.backend.backend() == "jax":
            pytest.skip("JAX has float64 only where it is enabled")
        keras.config.set_floatx(request.param)
        keras.config.set_dtype_policy(request.param)
    else:
        keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_floatx(before[1])
    keras.config.set_dtype_policy(before[0])
    keras.config.set_image_data_format(before[2])


def _finite(logs):
    assert logs and np.isfinite(list(logs.values())).all(), logs


def _trained(model, *data, **arguments):
    """The model, compiled and trained by a batch; as a graph only where a loss is scaled, for a graph takes long."""
    eager = keras.config.dtype_policy().compute_dtype != "float16"
    model.compile(run_eagerly=eager, **arguments)
    _finite(model.train_on_batch(*data, return_dict=True))
    _finite(model.test_on_batch(*data, return_dict=True))
    return model


def _large():
    return np.random.default_rng(0).integers(0, 256, (2, SIDE, SIDE, 3)).astype("uint8")


def _backbone():
    images = keras.Input(tiny.SHAPE)
    x = layers.Conv2D(2, 3, strides=2, padding="same", data_format="channels_last")(images)
    return keras.Model(images, x)


@pytest.mark.backends
def test_every_penalty(setting):
    penalties = [R1(1.0, every=2), R2(1.0), GradientPenalty(), Dragan()]
    gan = _trained(tiny.gan(tiny.CLASSES), tiny.pictures(4), tiny.labels(4), penalties=penalties)
    assert gan.generate(labels=[0, 1], seed=0).shape == (2, *tiny.SHAPE)


def test_augmented_and_mixed(setting):
    gan = _trained(tiny.gan(), tiny.pictures(4), mixing="mixup", augmentation="adaptive_augment", penalties=[])
    assert gan.generate(2, seed=0).shape == (2, *tiny.SHAPE)


def test_elbo(setting):
    vae = _trained(tiny.vae_gan(), tiny.pictures(4), penalties="gradient_penalty", warmup_steps=5)
    assert vae.reconstruct(tiny.pictures(2)).shape == (2, *tiny.SHAPE)
    assert np.isfinite(vae.log_likelihood(tiny.pictures(2), samples=2)).all()


def test_discrepancy(setting):
    vae = _trained(tiny.vae(tiny.CLASSES), tiny.pictures(4), tiny.labels(4), divergence="mmd", beta=10.0)
    assert np.isfinite(vae.encode(tiny.pictures(2), tiny.labels(2))).all()


@pytest.mark.parametrize("recipe", ["vae", "gan"])
def test_text_to_image(setting, recipe):
    pytest.importorskip("tensorflow_text")
    model = _trained(tiny_text.model(recipe, caption_dropout=0.2), *tiny_text.pictures(4))
    assert model.generate(["a red picture"], seed=0).shape == (1, *tiny_text.SHAPE)


def test_contrast(setting):
    pytest.importorskip("tensorflow_text")
    dual = _trained(tiny_text.dual_encoder(), *tiny_text.pictures(4))
    assert np.isfinite(dual.encode_images(tiny_text.pictures(4)[0])).all()


def test_restoration(setting):
    discriminator = keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.Flatten(), layers.Dense(1)])
    model = ImageRestorer([GaussianNoise((0, 50))], discriminator=discriminator, seed=0)
    _trained(model, _large(), penalties="gradient_penalty")
    assert model.restore(_large()[:1]).shape == (1, SIDE, SIDE, 3)


def test_cycle_consistency(setting):
    model = CycleGAN((SIDE, SIDE, 3), discriminator=tiny.encoder(1, shape=(SIDE, SIDE, 3)), seed=0)
    _trained(model, _large(), 255 - _large(), penalties="gradient_penalty")
    assert model.translate(_large()[:1]).shape == (1, SIDE, SIDE, 3)


def test_stylization(setting):
    if setting == "channels_first":
        pytest.skip("a user's own network of that format makes maps of another shape")
    model = _trained(tiny_style.model(), _large(), 255 - _large())
    assert model.stylize(_large()[0], _large()[1]).shape == (SIDE, SIDE, 3)


def test_answers(setting):
    classifier = ImageClassifier(_backbone(), num_classes=3, image_shape=tiny.SHAPE)
    probabilities = _trained(classifier, tiny.pictures(4), tiny.labels(4)).classify(tiny.pictures(4))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=0.02)
    segmenter = ImageSegmenter(_backbone(), num_classes=3, image_shape=tiny.SHAPE)
    masks = np.zeros((4, *tiny.SHAPE[:2]), "uint8")
    assert _trained(segmenter, tiny.pictures(4), masks).segment(tiny.pictures(4)).shape == masks.shape
