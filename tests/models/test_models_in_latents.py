"""What models owe in a `LatentSpace` as in pixels: files, seeds, metrics, callbacks, contracts of training."""

import io
import subprocess
import sys
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import ops

import kgen
from kgen.callbacks import AdversarialWatch, EvaluateSamples, SampleGrid
from kgen.evaluate import main
from kgen.layers import Saturation
from kgen.metrics import FrechetDistance, ReconstructionError
from kgen.models import GAN, VAE, Autoencoder, ImageClassifier, TextToImage
from kgen.networks.interface import ending
from kgen.spaces import LatentSpace, PixelSpace, latent_space
from kgen.visualization import save_images
from tests.checks import models
from tests.models import tiny, tiny_latents, tiny_text
from tests.models.tiny_latents import SHAPE, captions, pictures

PROMPTS = ["a red picture", "a blue picture"]


def fitted(make, *data, **kwargs):
    model = make(**kwargs)
    model.compile(run_eagerly=True)
    model.fit(*data, batch_size=8, verbose=0)
    return model


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    tiny_latents.run_eagerly(monkeypatch)


@pytest.fixture(scope="module")
def gan():
    keras.utils.set_random_seed(0)
    return fitted(tiny_latents.gan, pictures())


@pytest.fixture(scope="module")
def vae():
    keras.utils.set_random_seed(0)
    return fitted(tiny_latents.vae, pictures(), views={"flip": True})


@pytest.fixture(scope="module")
def text_model():
    pytest.importorskip("tensorflow_text")
    keras.utils.set_random_seed(0)
    return fitted(tiny_latents.text_to_image, pictures(), captions())


def decoded(model, latents):
    """uint8 images of standardized latents."""
    images = ops.convert_to_numpy(model.space.decode(latents))
    return np.round(127.5 * (np.clip(images, -1, 1) + 1)).astype("uint8")


# === The contracts of training ===
@models.in_ci
@pytest.mark.backends
def test_resume(tmp_path):
    models.check_resume(tiny_latents.compiled_gan, pictures(), tmp_path)


@models.in_ci
def test_backends_agree():
    models.check_backends_agree(tiny_latents.quiet_vae, pictures(40))


@models.in_ci
def test_replicas():
    # The units that vary among the images of a share may be fewer than among those of a batch.
    models.check_replicas(tiny_latents.quiet_vae, pictures(19))


@models.in_ci
@pytest.mark.backends
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(policy):
    models.check_mixed_precision("tests.models.tiny_latents:compiled_gan", pictures(), policy)


@models.in_ci
def test_evaluation_does_not_change_training():
    models.check_evaluation(tiny_latents.compiled_gan, pictures())


# === Images ===
@pytest.mark.backends
def test_images_are_decoded(gan, vae):
    latents = np.random.default_rng(0).normal(size=(3, tiny.LATENT_DIM)).astype("float32")
    for model in (gan, vae):
        made = ops.convert_to_numpy(model.average.network(latents))
        images = model.decode(latents)
        assert images.shape == (3, *SHAPE) and images.dtype == "uint8" and model.image_shape == SHAPE
        assert np.abs(images.astype(int) - decoded(model, made)).max() <= 1
    np.testing.assert_allclose(
        ops.convert_to_numpy(gan(latents)), ops.convert_to_numpy(gan.space.decode(gan.average(latents))), atol=1e-6
    )


@pytest.mark.backends
def test_seeds_are_per_image(gan, text_model):
    both = gan.generate(2, seed=[3, 4])
    np.testing.assert_array_equal(gan.generate(1, seed=4)[0], both[1])
    images = text_model.generate(PROMPTS, seed=[1, 2])
    assert images.shape == (2, *SHAPE)
    np.testing.assert_array_equal(text_model.generate(PROMPTS[1], seed=2), images[1])
    np.testing.assert_array_equal(text_model.generate(PROMPTS, seed=[1, 2], batch_size=1), images)


def test_on_the_way_from_one_image_to_another(gan, text_model):
    way = gan.interpolate(3, 4, steps=3)
    np.testing.assert_array_equal(way[[0, 2]], gan.generate(2, seed=[3, 4]))
    walk = text_model.walk(PROMPTS, steps=2, seed=[1, 2])
    assert walk.shape == (3, *SHAPE)
    np.testing.assert_array_equal(walk[[0, 2]], text_model.generate(PROMPTS, seed=[1, 2]))


def test_images_are_finished_after_decoding(gan):
    latents = np.zeros((2, tiny.LATENT_DIM), "float32")
    grey = tiny_latents.gan(postprocessing=[Saturation(0.0)])
    grey.set_weights(gan.get_weights())
    images = grey.decode(latents)
    assert images.shape == (2, *SHAPE) and np.ptp(images.astype(int), axis=-1).max() <= 1
    assert np.ptp(gan.decode(latents).astype(int), axis=-1).max() > 1


def test_a_vae_sees_images(vae):
    levels = pictures(4)
    latents = vae.encode(levels)
    assert latents.shape == (4, tiny.LATENT_DIM)
    made = vae.reconstruct(levels)
    assert np.abs(made.astype(int) - vae.decode(latents)).max() <= 1
    by_call = ops.convert_to_numpy(vae(np.float32(levels) / 127.5 - 1))
    assert np.abs(made - np.clip(127.5 * (by_call + 1), 0, 255)).max() <= 1
    # All are likelihoods of standardized latents: of a standard normal distribution, about.
    likelihood = vae.log_likelihood(levels, samples=3)
    outputs = vae.average.network(latents)
    nats = vae.reconstruction.loss(vae.space.encode(np.float32(levels) / 127.5 - 1), outputs)
    nats = ops.convert_to_numpy(nats)
    assert (np.abs(likelihood + nats) < 20 + 0.5 * nats).all()
    assert vae.elbo(levels).mean() <= likelihood.mean() + 20


def test_a_learned_prior(vae):
    learned = tiny_latents.vae()
    learned.set_weights(vae.get_weights())
    learned.fit_prior(pictures(40))
    assert learned.generate(2, seed=0).shape == (2, *SHAPE) and learned.sampler.prior is not None


def test_the_latents_of_an_image_are_found_again():
    gan = tiny_latents.gan()
    # Images that are not all alike.
    gan.space.adapt(np.random.default_rng(0).normal(0, 3, (8, *tiny_latents.GRID)).astype("float32"))
    gan.average.updates.assign(1.0)
    latents = gan.sampler.latents({"seeds": np.int32([5, 6]), "indices": np.int32([0, 0])}, {})
    images = gan.decode(latents)
    found = gan.encode(images, steps=60, verbose=0)
    other = gan.decode(np.random.default_rng(0).normal(size=latents.shape))
    error, chance = (np.abs(gan.decode(found).astype(int) - images).mean(), np.abs(other.astype(int) - images).mean())
    assert error < 0.5 * chance


def test_classes_of_images():
    gan = fitted(tiny_latents.ac_gan, pictures(), tiny.labels())
    probabilities = gan.classify(pictures(4))
    latents = gan.space.encode(np.float32(pictures(4)) / 127.5 - 1)
    expected = ops.softmax(gan.discriminator(latents)["labels"])
    np.testing.assert_allclose(probabilities, ops.convert_to_numpy(expected), atol=1e-5)


def test_features_of_images(tmp_path):
    gan = tiny_latents.ac_gan()
    gan.space.adapt(np.random.default_rng(0).normal(2, 3, (8, *tiny_latents.GRID)).astype("float32"))
    images = np.float32(pictures(3)) / 127.5 - 1
    features = gan.discriminator_features
    assert features.input_shape == (None, *SHAPE)
    expected = gan.discriminator.get_layer("features")
    of_latents = keras.Model(gan.discriminator.input, expected.output)(gan.space.encode(images))
    np.testing.assert_allclose(ops.convert_to_numpy(features(images)), ops.convert_to_numpy(of_latents), atol=1e-5)
    told = tiny_latents.gan(tiny.CLASSES).discriminator_features
    given = {"images": images, "pooled": np.eye(3, dtype="float32")}
    assert {name: tuple(each.shape[1:]) for name, each in told.input.items()} == {"images": SHAPE, "pooled": (3,)}
    assert told(given).shape == (3, 16)
    # A classifier on a copy of them learns, and leaves the autoencoder alone.
    classifier = ImageClassifier(features, tiny.CLASSES, seed=0)
    before = [ops.convert_to_numpy(variable) for variable in classifier.network.trainable_variables]
    classifier.compile(run_eagerly=True)
    classifier.fit(pictures(), tiny.labels(), batch_size=8, verbose=0)
    for old, new in zip(before, classifier.network.trainable_variables, strict=True):
        assert np.any(ops.convert_to_numpy(new) != old)
    assert len(before) == 4
    (space,) = [layer for layer in classifier.backbone._flatten_layers() if isinstance(layer, LatentSpace)]
    for old, new in zip(gan.space.get_weights(), space.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_allclose(loaded.classify(pictures(3)), classifier.classify(pictures(3)), atol=1e-6)


# === Metrics and callbacks ===
def test_metrics_see_decoded_images():
    model = tiny_latents.vae(views={"flip": True})
    model.compile(metrics=[FrechetDistance("pixels"), ReconstructionError()], run_eagerly=True)
    history = model.fit(pictures(), validation_data=pictures(8), batch_size=8, verbose=0).history
    logs = model.evaluate(pictures(8), batch_size=8, verbose=0, return_dict=True)
    np.testing.assert_allclose(history["val_psnr"][-1], logs["psnr"], rtol=1e-3)
    # Of the images as the autoencoder gives them back.
    real = decoded(model, model.space.encode(np.float32(pictures(8)) / 127.5 - 1))
    expected = ReconstructionError()
    expected.update_state(real, model.reconstruct(pictures(8)))
    np.testing.assert_allclose(logs["psnr"], expected.result()["psnr"], rtol=0.01)
    (distance,) = [name for name in logs if name.startswith("frechet")]
    assert 0 < logs[distance] < 1e6


def test_metrics_of_prompts():
    pytest.importorskip("tensorflow_text")
    model = tiny_latents.text_to_image()
    model.compile(metrics=[FrechetDistance("pixels")], run_eagerly=True)
    history = model.fit(pictures(), captions(), validation_split=0.5, batch_size=8, verbose=0).history
    (distance,) = [name for name in history if name.startswith("val_frechet")]
    logs = model.evaluate(pictures()[8:], captions()[8:], batch_size=8, verbose=0, return_dict=True)
    assert 0 < logs[distance.removeprefix("val_")] < 1e6


def test_callbacks_see_images(tmp_path):
    model = tiny_latents.gan(views={"flip": True})
    model.compile(run_eagerly=True)
    watch = AdversarialWatch("lower_rate", num_images=4, images=pictures(), verbose=0)
    measure = EvaluateSamples(FrechetDistance("pixels"), pictures(), num_images=8)
    callbacks = [SampleGrid(tmp_path / "samples", num_images=4), watch, measure]
    history = model.fit(pictures(), batch_size=8, epochs=2, callbacks=callbacks, verbose=0).history
    assert (tmp_path / "samples" / "contact_sheet.png").is_file()
    assert np.isfinite(history["diversity"]).all() and 0 < history["diversity"][-1] < 1
    assert any("frechet" in name and np.isfinite(history[name]).all() for name in history)


# === On disk ===
@pytest.mark.backends
@pytest.mark.parametrize("fixture", ["gan", "vae", "text_model"])
def test_saved_with_its_space(fixture, tmp_path, request):
    model = request.getfixturevalue(fixture)
    asked = {"prompts": PROMPTS, "seed": 0} if fixture == "text_model" else {"num_images": 2, "seed": 0}
    expected = model.generate(**asked)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(loaded.space, LatentSpace) and loaded.space.flip == model.space.flip
    np.testing.assert_array_equal(loaded.generate(**asked), expected)
    for a, b in zip(model.space.get_weights(), loaded.space.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    if fixture == "text_model":
        # The vocabulary of its text encoder is in the file alone.
        return
    again = type(model).from_config(model.get_config())
    again.set_weights(model.get_weights())
    again.average.updates.assign(1.0)
    np.testing.assert_array_equal(again.generate(**asked), expected)


@pytest.mark.parametrize("fixture", ["gan", "vae", "text_model"])
def test_a_preset_of_half_the_size(fixture, tmp_path, request):
    model = request.getfixturevalue(fixture)
    asked = {"prompts": PROMPTS, "seed": 0} if fixture == "text_model" else {"num_images": 2, "seed": 0}
    model.save_to_preset(tmp_path / "preset", dtype="float16")
    loaded = type(model).from_preset(tmp_path / "preset")
    assert loaded.space.encoder.dtype == "float32" and loaded.image_shape == SHAPE
    assert np.abs(loaded.generate(**asked).astype(int) - model.generate(**asked)).max() <= 3
    with zipfile.ZipFile(tmp_path / "preset" / "model.keras") as archive:
        weights = h5py.File(io.BytesIO(archive.read("model.weights.h5")))
    kernels = []

    def look(name, item):
        if getattr(item, "shape", None) == (4, 4, 3, 4):
            kernels.append(name)

    weights.visititems(look)
    assert len(kernels) == 1 and weights[kernels[0]].dtype == "float16"


@models.in_ci
def test_strings_to_pixels_with_the_decoder_inside(text_model, tmp_path):
    pytest.importorskip("tensorflow")
    text_model.export(tmp_path / "saved")
    np.save(tmp_path / "expected.npy", text_model.generate(PROMPTS, seed=[4, 9]))
    code = (
        "import numpy as np, tensorflow as tf, sys\n"
        f"serve = tf.saved_model.load({str(tmp_path / 'saved')!r}).signatures['serving_default']\n"
        f"made = serve(prompts=tf.constant({PROMPTS}), seeds=tf.constant([4, 9]))['images'].numpy()\n"
        f"assert np.abs(made.astype(int) - np.load({str(tmp_path / 'expected.npy')!r})).max() <= 1\n"
        "assert not {'kgen', 'tensorflow_text'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]


@models.in_ci
def test_measured_from_the_command_line(gan, tmp_path):
    gan.save_to_preset(tmp_path / "preset")
    save_images(tmp_path / "real", pictures(20))
    report = main([*map(str, (tmp_path / "preset", tmp_path / "real")), "--features", "pixels", "--num-images", "20"])
    numbers = {number["name"]: number["value"] for number in report["numbers"]}
    assert 1 < numbers["frechet_distance_pixels"] < 1e6


# === Text to image ===
def test_another_text_encoder_keeps_the_space(text_model):
    copy = text_model.with_text_encoder(tiny_text.text_encoder())
    assert copy.space is text_model.space
    np.testing.assert_array_equal(copy.generate(PROMPTS, seed=0), text_model.generate(PROMPTS, seed=0))


def test_what_it_remembers(text_model):
    model = text_model.with_text_encoder(text_model.text_encoder)
    model.remember(tiny_text.CAPTIONS, pictures(len(tiny_text.CAPTIONS)))
    plain, away = (model.generate(PROMPTS, seed=0, negative_prompts=each) for each in (None, "a green picture"))
    assert plain.shape == away.shape == (2, *SHAPE)


@pytest.mark.parametrize("recipe", ["gan", "vae_gan"])
def test_the_other_recipes(recipe):
    pytest.importorskip("tensorflow_text")
    model = fitted(tiny_latents.text_to_image, pictures(), captions(), recipe=recipe, views={"flip": True})
    assert model.generate(PROMPTS, seed=0).shape == (2, *SHAPE)


def test_matching_sees_decoded_images():
    pytest.importorskip("tensorflow_text")
    model = tiny_latents.text_to_image()
    dual = tiny_text.dual_encoder()
    dual.compile()
    dual.fit(pictures(), captions(), batch_size=8, verbose=0)
    model.compile(matching=dual, run_eagerly=True)
    logs = model.train_on_batch(pictures(8), captions(8), return_dict=True)
    assert np.isfinite(logs["matching"])


# === Spaces by default ===
@pytest.fixture
def tiny_f8(monkeypatch):
    """A tiny autoencoder in place of the preset."""
    made = Autoencoder.tiny(latent_channels=4, filters=8, blocks=1)
    asked = []
    monkeypatch.setattr(latent_space, "load_preset", lambda name: asked.append(name) or made)
    return asked


def test_large_images_are_learned_in_latents(tiny_f8):
    encoder = tiny_text.text_encoder()
    model = TextToImage(encoder, (96, 128, 3))
    assert isinstance(model.space, LatentSpace) and tiny_f8 == ["tiny_f8"]
    assert model.generator.output_shape == (None, 12, 16, 4) and model.image_shape == (96, 128, 3)
    assert isinstance(TextToImage(encoder, (64, 64, 3), space="tiny_f8").space, LatentSpace)
    assert isinstance(TextToImage(encoder, (64, 64, 3)).space, PixelSpace)
    assert isinstance(TextToImage(encoder, (128, 128, 1)).space, PixelSpace)
    assert isinstance(TextToImage(encoder, (128, 128, 3), reconstruction="logistic").space, PixelSpace)
    # Networks that were given for pixels.
    own = TextToImage(encoder, (128, 128, 3), space=PixelSpace())
    again = TextToImage(encoder, (128, 128, 3), generator=own.generator, encoder=own.encoder)
    assert isinstance(own.space, PixelSpace) and isinstance(again.space, PixelSpace)
    assert tiny_f8 == ["tiny_f8"] * 2


@pytest.mark.parametrize("architecture", ["auto", "perceptron", "dcgan", "resnet", "r3gan", "multiscale"])
def test_generators_reach_all_latents(architecture):
    """Standardized latents are beyond -1 and 1 as often as not: tanh could not reach them."""
    space = tiny_latents.space()
    gan = GAN.from_image_shape((64, 64, 3), 8, architecture=architecture, space=space)
    assert ending(gan.generator.output)[1] not in ("tanh", "sigmoid")
    assert ending(GAN.from_image_shape((32, 32, 3), 8, architecture=architecture).generator.output)[1] == "tanh"
    assert gan.generator.output_shape == (None, 16, 16, 2) and gan.image_shape == (64, 64, 3)


def test_a_vae_by_its_image_shape():
    vae = VAE.from_image_shape((64, 64, 3), 8, adversarial=True, space=tiny_latents.space())
    assert vae.decoder.output_shape == (None, 16, 16, 2) and vae.image_shape == (64, 64, 3)
    assert vae.encoder.input_shape == vae.discriminator.input_shape == (None, 16, 16, 2)


def test_tanh_at_the_end_is_told_of():
    generator = tiny.network("latents", (4,), tiny_latents.GRID, activation="linear")
    outputs = keras.layers.Activation("tanh", name="last")(generator.output)
    bounded = keras.Model(generator.input, outputs, name="drawer")
    discriminator = tiny.network("images", tiny_latents.GRID, (1,))
    with pytest.warns(UserWarning, match="the generator 'drawer' ends with tanh in the layer 'last'. Latents have no"):
        GAN(bounded, discriminator, 4, space=tiny_latents.space())


def test_the_package_has_it():
    assert kgen.spaces.LatentSpace is LatentSpace
