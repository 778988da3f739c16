import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.layers import Blur, Downscale, GaussianNoise, RandomMask
from kgen.metrics import ReconstructionError
from kgen.models import ImageRestorer
from kgen.networks import restoration_network
from tests.checks import models
from tests.models import tiny

# What papers call clean images: bright and dark areas, in 16 x 16 pixels.
CLEAN = np.kron(np.random.default_rng(0).integers(30, 226, (32, 4, 4, 3)), np.ones((1, 4, 4, 1))).astype("uint8")
PHOTO = np.kron(np.random.default_rng(1).integers(30, 226, (13, 19, 3)), np.ones((4, 4, 1))).astype("uint8")[:45, :70]


def network(scale=1, masked=False, channels=3):
    return restoration_network(channels, scale, masked, filters=8, blocks=1)


def denoiser(**kwargs):
    return ImageRestorer([GaussianNoise(30)], network=network(), seed=0, ema_momentum=0.9, **kwargs)


def discriminator():
    images = keras.Input((16, 16, 3), name="images")
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, 2, activation="leaky_relu")(images))
    return keras.Model(images, layers.Dense(1)(x))


def moved(model):
    """The model with a network that does something, and an average that is of it."""
    random = np.random.default_rng(2)
    model.network.set_weights([w + 0.05 * random.normal(size=w.shape) for w in model.network.get_weights()])
    model.average.network.set_weights(model.network.get_weights())
    model.average.updates.assign(1.0)
    return model


# === Factories for the checks of every PhasedModel ===
def compiled():
    model = denoiser()
    model.compile(keras.optimizers.Adam(3e-3))
    return model


def adversarial():
    model = denoiser(discriminator=discriminator())
    model.compile(keras.optimizers.Adam(3e-3), adversarial_weight=0.1)
    return model


def quiet():
    """Nothing of it is random."""
    model = ImageRestorer(Downscale(2), 2, network=network(2), seed=0)
    model.compile(keras.optimizers.SGD(0.5), loss="l2")
    return model


@pytest.mark.slow
@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(adversarial, CLEAN[:16], tmp_path)


@pytest.mark.slow
def test_backends_agree():
    models.check_backends_agree(quiet, CLEAN, batch_size=4)


@pytest.mark.slow
def test_mixed_precision():
    model_of = "tests.models.test_image_restorer:compiled"
    models.check_mixed_precision(model_of, CLEAN[:16], "mixed_bfloat16")


@pytest.mark.slow
def test_evaluation():
    models.check_evaluation(compiled, CLEAN[:16])


# === Training ===
@pytest.fixture(scope="module")
def trained():
    model = denoiser()
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(CLEAN, epochs=30, batch_size=8, verbose=0)
    return model


def psnr(clean, other):
    return -10 * np.log10(np.mean((clean / 255.0 - other / 255.0) ** 2))


@pytest.mark.backends
def test_learns_to_remove_noise(trained, tmp_path):
    noisy = np.clip(np.rint(PHOTO + np.random.default_rng(3).normal(0, 30, PHOTO.shape)), 0, 255).astype("uint8")
    restored = trained.restore(noisy)
    assert psnr(PHOTO, restored) > psnr(PHOTO, noisy) + 2
    logs = trained.evaluate(CLEAN, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "psnr"} and logs["psnr"] > psnr(PHOTO, noisy) + 2
    trained.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.restore(noisy), restored)
    assert [layer.sigma for layer in again.degradations] == [(30.0, 30.0)]
    trained.save_to_preset(tmp_path / "preset")
    np.testing.assert_array_equal(ImageRestorer.from_preset(tmp_path / "preset").restore(noisy), restored)


def test_metrics_are_of_clean_and_restored_images():
    model = moved(denoiser())
    model.compile(metrics=[ReconstructionError()])
    logs = model.evaluate(CLEAN[:8], verbose=0, return_dict=True)
    # Of whole images, which are rounded, and of noise drawn again.
    np.testing.assert_allclose(logs["psnr"], psnr_of_attempts(model, CLEAN[:8]), atol=1.0)
    batch = model.prepare(CLEAN[:4])
    for paired in (False, True):
        real, generated = map(ops.convert_to_numpy, model.counterparts(batch, paired))
        np.testing.assert_allclose(real, CLEAN[:4] / 127.5 - 1.0, atol=1e-6)
        assert 0.01 < np.abs(real - generated).mean() < 0.5


def psnr_of_attempts(model, images):
    batch = model.prepare(images)
    pair = batch["images"], model.objective.attempt(batch, training=False)
    clean, restored = (ops.convert_to_numpy(0.5 * each + 0.5) for each in pair)
    return np.mean([psnr(255 * a, 255 * b.clip(0, 1)) for a, b in zip(clean, restored)])


def test_what_it_trains_on():
    model = compiled()
    with pytest.raises(ValueError, match="patches must be known and divisible by 2; got 15 x 16.*random_patches"):
        model.fit(CLEAN[:, :15], verbose=0)
    with pytest.raises(ValueError, match="ImageRestorer: training takes clean images only"):
        model.fit(CLEAN, np.zeros(len(CLEAN)), verbose=0)
    with pytest.raises(ValueError, match="images must have shape .N, height, width, 3.; got .32, 16, 16, 1."):
        model.fit(CLEAN[..., :1], verbose=0)
    with pytest.raises(ValueError, match="unknown pixel loss 'huber'; choose from .'charbonnier', 'l1', 'l2'."):
        model.compile(loss="huber")
    with pytest.raises(ValueError, match="perceptual_weight must be a number of at least 0; got -1"):
        model.compile(perceptual_weight=-1)
    with pytest.raises(ValueError, match="adversarial_loss and penalties need a discriminator"):
        model.compile(adversarial_loss="hinge")


@pytest.mark.backends
def test_as_postprocessing_of_a_generator():
    restorer = moved(ImageRestorer(Downscale(2), 2, network=network(2), seed=0))
    gan, other = tiny.gan(postprocessing=[restorer.restoring_network]), tiny.gan()
    assert gan.sampler.image_shape == (16, 16, 3)
    other.average.network.set_weights(gan.average.network.get_weights())
    with pytest.warns(UserWarning, match="has not been trained"):
        generated, plain = gan.generate(2, seed=0), other.generate(2, seed=0)
    assert generated.shape == (2, 16, 16, 3)
    np.testing.assert_allclose(generated.astype(int), restorer.restore(plain), atol=2)


def test_what_cannot_be_built():
    for arguments, error, said in (
        (
            ([keras.layers.GaussianNoise(0.1)],),
            TypeError,
            "degradations must be kgen.layers.Degradation.*GaussianNoise",
        ),
        (([],), ValueError, "there is nothing to learn"),
        (([Downscale(2)],), ValueError, "the degradations shrink images by 2, but scale is 1"),
        (([Downscale(2)], 4), ValueError, "shrink images by 2, but scale is 4"),
        (([RandomMask(), Blur()],), ValueError, "RandomMask must be the last"),
        (([Blur()], 0), ValueError, "scale must be an integer of at least 1; got 0"),
        (([Blur()], 1, 3, network(2)), ValueError, "network must take .* and make images 1 times as large"),
        (([RandomMask()], 1, 3, network()), ValueError, r"must take \(None, None, None, 4\)"),
        (([Blur()], 1, 3, "resnet"), ValueError, "network must be a built keras.Model; got 'resnet'"),
    ):
        with pytest.raises(error, match=f"ImageRestorer: .*{said}"):
            ImageRestorer(*arguments)


def test_by_default():
    model = ImageRestorer([Blur()])
    assert model(ops.zeros((1, 8, 8, 3))).shape == (1, 8, 8, 3)
    model.compile()
    assert [phase.name for phase in model.phases()] == ["network"]
    assert isinstance(model.optimizer.by_phase["network"], keras.optimizers.Adam)
