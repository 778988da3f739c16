import keras
import numpy as np
import pytest

from kgen.losses import Gaussian, Logistic
from kgen.spaces import PixelSpace, space_of
from tests.models import tiny

SPACE = PixelSpace()


def test_pixels_stay_as_they_are():
    images = np.float32(tiny.pictures(2)) / 127.5 - 1
    assert SPACE.shape("GAN", tiny.SHAPE) == SPACE.image_shape("GAN", tiny.SHAPE) == tiny.SHAPE and not SPACE.stores
    for same in (SPACE.encode(images), SPACE.decode(images), SPACE.viewed(images)):
        np.testing.assert_array_equal(same, images)
    outputs = keras.ops.convert_to_tensor(3 * images)
    np.testing.assert_array_equal(SPACE.location(Gaussian(), outputs), np.clip(3 * images, -1, 1))
    SPACE.check("VAE", Logistic())
    SPACE.check_objective("GAN.compile", augmentation="diff_augment")


def test_the_error_is_in_grey_levels():
    images = np.zeros((2, 4, 4, 1), "float32")
    drawn = images + np.float32([10, 20]).reshape(-1, 1, 1, 1) / 127.5
    np.testing.assert_allclose(SPACE.error(images, drawn), [10, 20], rtol=1e-5)


def test_what_is_no_space():
    assert isinstance(space_of("GAN", None), PixelSpace) and space_of("GAN", SPACE) is SPACE
    with pytest.raises(TypeError, match="a preset of an autoencoder, a PixelSpace or None; got 8"):
        tiny.gan(space=8)


@pytest.mark.parametrize("make", [tiny.gan, tiny.vae])
def test_a_model_in_it_is_the_model_without(make):
    models = [make(), make(space=PixelSpace())]
    models[1].set_weights(models[0].get_weights())
    models[1] = type(models[1]).from_config(models[1].get_config())
    models[1].set_weights(models[0].get_weights())
    assert isinstance(models[1].space, PixelSpace)
    for model in models:
        model.compile(run_eagerly=True)
        model.fit(tiny.pictures(), batch_size=8, verbose=0)
    for a, b in zip(models[0].get_weights(), models[1].get_weights()):
        np.testing.assert_array_equal(a, b)


def test_latents_are_not_kept_for_pixels(tmp_path):
    gan = tiny.gan()
    gan.compile()
    with pytest.raises(ValueError, match="GAN.fit: latent_cache has no meaning for this model; leave it out"):
        gan.fit(tiny.pictures(), latent_cache=tmp_path)
