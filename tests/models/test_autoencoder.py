import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.metrics import ReconstructionError
from kgen.models import Autoencoder
from kgen.networks import patch_discriminator
from tests.checks import models

# Bright and dark areas, in 16 x 16 pixels, and a larger image of them.
IMAGES = np.kron(np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3)), np.ones((1, 4, 4, 1))).astype("uint8")
PHOTO = np.kron(np.random.default_rng(1).integers(0, 256, (13, 19, 3)), np.ones((4, 4, 1))).astype("uint8")[:45, :70]


def networks(gaussian=True):
    """The smallest ones: a 4 x 4 patch becomes two numbers, and the other way around."""
    images, latents = keras.Input((None, None, 3)), keras.Input((None, None, 2))
    encoder = keras.Model(images, layers.Conv2D(4 if gaussian else 2, 4, 4)(images))
    return encoder, keras.Model(latents, layers.Conv2DTranspose(3, 4, 4)(latents))


def autoencoder(adversarial=False, gaussian=True):
    discriminator = patch_discriminator(filters=2, stages=1) if adversarial else None
    return Autoencoder(*networks(gaussian), discriminator, ema_momentum=0.9, seed=0)


# === Factories for the checks of every PhasedModel ===
def compiled():
    model = autoencoder()
    model.compile(keras.optimizers.Adam(3e-3))
    return model


def adversarial():
    model = autoencoder(adversarial=True)
    model.compile(keras.optimizers.Adam(3e-3), adversarial_weight=0.1)
    return model


def quiet():
    """Nothing of it is random."""
    model = autoencoder(gaussian=False)
    model.compile(keras.optimizers.SGD(0.5), loss="l2")
    return model


@models.in_ci
@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(adversarial, IMAGES, tmp_path)


@models.in_ci
def test_backends_agree():
    models.check_backends_agree(quiet, np.concatenate([IMAGES, IMAGES[::-1]]), batch_size=4)


@models.in_ci
def test_replicas():
    models.check_replicas(quiet, IMAGES)


@models.in_ci
def test_mixed_precision():
    models.check_mixed_precision("tests.models.test_autoencoder:compiled", IMAGES, "mixed_bfloat16")


def test_evaluation():
    models.check_evaluation(compiled, IMAGES)


# === Training ===
def psnr(a, b):
    return -10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2))


@pytest.mark.backends
def test_learns_to_reconstruct_and_is_saved(tmp_path):
    model = autoencoder()
    model.compile(keras.optimizers.Adam(0.02), kl_weight=1e-6)
    before = psnr(IMAGES, model.reconstruct(IMAGES))
    history = model.fit(IMAGES, epochs=60, batch_size=8, verbose=0).history
    assert set(history) == {"loss", "pixels", "kl", "psnr"}
    after = psnr(IMAGES, model.reconstruct(IMAGES))
    assert after > before + 4
    np.testing.assert_allclose(model.evaluate(IMAGES, verbose=0, return_dict=True)["psnr"], after, atol=1.5)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(PHOTO), model.encode(PHOTO))
    assert again.objective.kl_weight == 1e-6
    model.save_to_preset(tmp_path / "preset")
    preset = Autoencoder.from_preset(tmp_path / "preset")
    np.testing.assert_array_equal(preset.reconstruct(PHOTO), model.reconstruct(PHOTO))


def test_a_discriminator_of_patches_and_metrics():
    model = adversarial()
    model.compile(metrics=[ReconstructionError()], loss="charbonnier")
    logs = model.fit(IMAGES, validation_data=IMAGES, verbose=0).history
    assert {"autoencoder_loss", "discriminator_loss", "adversarial", "kl", "psnr", "val_psnr", "val_ssim"} <= set(logs)
    with pytest.raises(ValueError, match="Autoencoder.compile: adversarial_loss and penalties need a discriminator"):
        compiled().compile(adversarial_loss="hinge")


# === Images in, images out ===
@pytest.mark.backends
def test_any_size_and_tiles_without_seams():
    model = compiled()
    latents = model.encode(PHOTO)
    assert latents.shape == (12, 18, 2) and latents.dtype == "float32"
    np.testing.assert_allclose(model.encode(PHOTO[None], tile=16, overlap=8)[0], latents, atol=1e-5)
    drawn = model.decode(latents)
    assert drawn.shape == (48, 72, 3) and drawn.dtype == "uint8"
    assert np.abs(model.decode(latents, tile=16, overlap=8).astype(int) - drawn).max() <= 1
    np.testing.assert_array_equal(model.reconstruct(PHOTO), drawn[:45, :70])
    assert model.reconstruct(IMAGES / 255.0).shape == IMAGES.shape


def test_it_encodes_and_decodes_by_the_averaged_networks():
    model = compiled()
    before = model.encode(PHOTO), model.reconstruct(PHOTO)
    for network in (model.encoder, model.decoder):
        network.set_weights([0 * weight for weight in network.get_weights()])
    np.testing.assert_array_equal(model.encode(PHOTO), before[0])
    np.testing.assert_array_equal(model.reconstruct(PHOTO), before[1])


def test_wrong_input():
    model = compiled()
    with pytest.raises(ValueError, match=r"Autoencoder.encode: images must have shape .*3\)"):
        model.encode(PHOTO[..., :1])
    with pytest.raises(ValueError, match="Autoencoder.encode: tile must be a multiple of 8 pixels; got 12"):
        model.encode(PHOTO, tile=12)
    with pytest.raises(ValueError, match="Autoencoder.decode: overlap must be a multiple of 4 pixels; got 6"):
        model.decode(np.zeros((3, 3, 2)), overlap=6)
    with pytest.raises(ValueError, match=r"Autoencoder.decode: latents must have shape .*2\); got \(1, 3, 3, 5\)"):
        model.decode(np.zeros((3, 3, 5)))
    with pytest.raises(ValueError, match="the sides of training patches must be known and divisible by 4; got 45 x 70"):
        model.fit(PHOTO[None], verbose=0)
    encoder, decoder = networks()
    with pytest.raises(TypeError, match="Autoencoder: encoder must be a keras.Model; got str"):
        Autoencoder("encoder", decoder)
    with pytest.raises(ValueError, match="the decoder takes 2 channels, so the encoder must give grids with as many"):
        Autoencoder(keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(3, 4, 4)]), decoder)
    with pytest.raises(ValueError, match=r"the decoder must make images of the same shape; it makes \(32, 32, 3\)"):
        Autoencoder(encoder, keras.Sequential([keras.Input((None, None, 2)), layers.Conv2DTranspose(3, 2, 2)]))


# === Other ways to make one ===
def test_tiny():
    model = Autoencoder.tiny(1, latent_channels=3, factor=4, filters=4, blocks=1, adversarial=True, seed=0)
    assert (model.channels, model.latent_channels, model.factor, model.gaussian) == (1, 3, 4, True)
    assert model.discriminator is not None and model.encode(PHOTO[None, ..., :1]).shape == (1, 12, 18, 3)


def test_the_latents_of_a_new_one_are_not_drowned_in_noise():
    autoencoder = Autoencoder.tiny(latent_channels=4, filters=8, blocks=1)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 3)).astype("float32")
    log_variances = ops.convert_to_numpy(autoencoder.moments(autoencoder.encoder(images))[1])
    assert np.abs(log_variances + 6.0).max() < 2.0


def test_an_autoencoder_of_keras_hub():
    VAEBackbone = pytest.importorskip("keras_hub.src.models.vae.vae_backbone").VAEBackbone
    backbone = VAEBackbone([32, 32], [1, 1], [32, 32], [1, 1], "mode", sample_channels=8)
    model = Autoencoder.of(backbone)
    assert (model.latent_channels, model.factor, model.gaussian) == (4, 2, True)
    x = IMAGES[:1] / 127.5 - 1.0
    np.testing.assert_allclose(model.encode(IMAGES[:1]), ops.convert_to_numpy(backbone.encode(x)), atol=1e-5)
    drawn = np.clip(np.rint(127.5 * (ops.convert_to_numpy(backbone(x)) + 1.0)), 0, 255)
    assert np.abs(model.reconstruct(IMAGES[:1]) - drawn).max() <= 1
    with pytest.raises(TypeError, match="Autoencoder.of: backbone must be a KerasHub VAEBackbone, such as"):
        Autoencoder.of(networks()[0])


@models.in_ci
def test_export(tmp_path):
    tf = pytest.importorskip("tensorflow")
    model = compiled()
    model.export(tmp_path / "saved")
    served = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"](images=tf.constant(PHOTO[None]))
    np.testing.assert_allclose(served["latents"].numpy()[0], model.encode(PHOTO), atol=1e-5)
    assert np.abs(served["images"].numpy()[0].astype(int) - model.reconstruct(PHOTO)).max() <= 1
