import keras
import numpy as np
import pytest
from keras import ops

from kgen.inputs.pixels import NetworkImages
from kgen.losses import DiscretizedLogistic, Gaussian, Logistic, PixelGaussian
from kgen.models import GAN, VAE, TextToImage
from kgen.spaces import LatentSpace
from tests.checks.processes import in_worker
from tests.models import tiny, tiny_latents, tiny_text
from tests.models.tiny_latents import GRID, SHAPE, pictures

VIEWS = {"flip": True, "shift": 4}


@pytest.fixture(autouse=True)
def eager(monkeypatch):
    tiny_latents.run_eagerly(monkeypatch)


@pytest.fixture
def count(monkeypatch):
    """A list that grows by the number of images whenever latents are computed before training."""
    counted, own = [], LatentSpace._computed

    def computed(self, images, views, verbose):
        counted.append(len(images) * len(views))
        return own(self, images, views, verbose)

    monkeypatch.setattr(LatentSpace, "_computed", computed)
    return counted


def images_of(levels):
    return NetworkImages(levels, (0, 255))


def in_network(levels):
    return np.float32(levels) / 127.5 - 1


def compiled(make, **kwargs):
    model = make(**kwargs)
    model.compile(run_eagerly=True)
    return model


def values(tensor):
    return ops.convert_to_numpy(tensor)


# === Standards ===
@pytest.mark.backends
@pytest.mark.parametrize("views", [{}, VIEWS])
def test_each_channel_has_mean_0_and_deviation_1_over_the_training_images(views):
    space = tiny_latents.space(**views)
    assert not space.has_standards
    latents = space.latents(images_of(pictures()), training=True)
    standardized = values(space.standardized(latents)).reshape(-1, GRID[-1])
    np.testing.assert_allclose(standardized.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(standardized.std(axis=0), 1, atol=1e-5)
    # Other images do not change them.
    before = values(space.mean)
    space.latents(images_of(255 - pictures()), training=True)
    np.testing.assert_array_equal(values(space.mean), before)


def test_validation_sets_no_standards():
    space = tiny_latents.space()
    space.latents(images_of(pictures()), training=False)
    assert not space.has_standards


def test_a_channel_that_is_constant_has_a_deviation_too():
    space = tiny_latents.space()
    space.adapt(np.ones((3, *GRID), "float32"))
    np.testing.assert_array_equal(values(space.standardized(np.ones((1, *GRID), "float32"))), 0)


# === There and back ===
@pytest.mark.backends
def test_encode_and_decode_are_those_of_the_autoencoder():
    autoencoder = tiny_latents.autoencoder()
    space = LatentSpace(autoencoder)
    space.latents(images_of(pictures()), training=True)
    levels, images = pictures(3), in_network(pictures(3))
    encoded = space.encode(images)
    np.testing.assert_allclose(values(space(images)), values(encoded), atol=1e-6)
    np.testing.assert_allclose(
        values(encoded) * values(space.deviation) + values(space.mean), autoencoder.encode(levels), atol=1e-5
    )
    np.testing.assert_allclose(values(space.decode(encoded)), values(autoencoder(images)), atol=1e-5)
    np.testing.assert_allclose(values(space.encode(space.decode(encoded))), values(encoded), atol=1e-4)
    assert space.shape("GAN", SHAPE) == GRID and space.image_shape("GAN", GRID) == SHAPE


def test_it_has_the_averaged_networks_of_the_autoencoder():
    autoencoder = tiny_latents.autoencoder()
    expected = values(autoencoder(in_network(pictures(2))))
    for network in (autoencoder.encoder, autoencoder.decoder):
        network.set_weights([weight + 1 for weight in network.get_weights()])
    space = LatentSpace(autoencoder)
    np.testing.assert_allclose(values(space.decode(space.encode(in_network(pictures(2))))), expected, atol=1e-6)
    # And copies of them.
    autoencoder.average.network.set_weights([0 * weight for weight in autoencoder.average.network.get_weights()])
    np.testing.assert_allclose(values(space.decode(space.encode(in_network(pictures(2))))), expected, atol=1e-6)


def test_the_error_is_in_deviations():
    latents = np.zeros((2, *GRID), "float32")
    drawn = latents + np.float32([1, 2]).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(tiny_latents.space().error(latents, drawn), [1, 2], rtol=1e-6)


def test_what_a_likelihood_stands_for_has_no_bounds():
    space, outputs = tiny_latents.space(), np.full((1, 4, 4, 4), 7, "float32")
    assert values(space.location(PixelGaussian(), outputs)).shape == (1, *GRID)
    np.testing.assert_array_equal(values(space.location(Gaussian(), outputs)), outputs)


# === Views ===
def test_views_are_the_encoded_mirror_images_and_moved_ones():
    space, levels = tiny_latents.space(**VIEWS), pictures(5)
    latents = space.latents(images_of(levels), training=True)
    assert latents.shape == (5, 10, *GRID) and latents.dtype == "float32"

    def encoded(images):
        return values(space.encoder(in_network(images)))[..., : GRID[-1]]

    for first, images in ((0, levels), (5, levels[:, :, ::-1])):
        np.testing.assert_allclose(latents[:, first], encoded(images), atol=1e-5)
        up, down, left, right = images[:, 4:], images[:, :-4], images[:, :, 4:], images[:, :, :-4]
        moved = [
            np.concatenate([images[:, :1]] * 4 + [down], axis=1),
            np.concatenate([up] + [images[:, -1:]] * 4, axis=1),
            np.concatenate([images[:, :, :1]] * 4 + [right], axis=2),
            np.concatenate([left] + [images[:, :, -1:]] * 4, axis=2),
        ]
        for view, expected in enumerate(moved):
            np.testing.assert_allclose(latents[:, first + 1 + view], encoded(expected), atol=1e-5)
    np.testing.assert_allclose(space.latents(images_of(levels), training=False), encoded(levels), atol=1e-5)


@pytest.mark.parametrize("views, number", [({}, 1), ({"flip": True}, 2), ({"shift": 3}, 5), (VIEWS, 10)])
def test_how_many_views_there_are(views, number):
    latents = tiny_latents.space(**views).latents(images_of(pictures(3)), training=True)
    assert latents.shape == ((3, *GRID) if number == 1 else (3, number, *GRID))


@pytest.mark.backends
def test_one_view_of_each_image_is_drawn():
    space, seed = tiny_latents.space(), keras.random.SeedGenerator(0)
    latents = np.arange(200 * 3, dtype="float32").reshape(200, 3, 1, 1, 1) * np.ones((1, 1, 4, 4, 2), "float32")
    drawn = values(space.viewed(latents, seed))
    assert drawn.shape == (200, *GRID)
    which = (drawn[:, 0, 0, 0] - latents[:, 0, 0, 0, 0]).astype(int)
    assert 40 < min(np.bincount(which, minlength=3)) and set(which) == {0, 1, 2}
    np.testing.assert_array_equal(drawn, latents[np.arange(200), which])
    assert np.any(values(space.viewed(latents, seed)) != drawn)
    np.testing.assert_array_equal(values(space.viewed(latents)), latents[:, 0])
    np.testing.assert_array_equal(values(space.viewed(latents[:, 0], seed)), latents[:, 0])


def test_a_negative_shift():
    with pytest.raises(ValueError, match="LatentSpace: shift must be an integer of at least 0; got -1"):
        tiny_latents.space(shift=-1)


# === Latents are made once ===
@pytest.mark.parametrize("views", [{}, VIEWS])
@pytest.mark.parametrize("make", [tiny_latents.gan, tiny_latents.vae])
def test_a_step_touches_neither_encoder_nor_decoder(make, views, monkeypatch):
    model = compiled(make, views=views)

    def refused(*args, **kwargs):
        raise AssertionError("a step went through the autoencoder")

    monkeypatch.setattr(model.space, "encode", refused)
    monkeypatch.setattr(model.space, "decode", refused)
    before = [values(variable) for variable in (*model.space.encoder.variables, *model.space.decoder.variables)]
    history = model.fit(pictures(), validation_data=pictures(4), batch_size=8, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all() and "val_loss" in history
    after = [values(variable) for variable in (*model.space.encoder.variables, *model.space.decoder.variables)]
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(old, new)


def test_they_are_kept_from_one_fit_to_the_next(count):
    model = compiled(tiny_latents.vae, views={"flip": True})
    for _ in range(2):
        model.fit(pictures(), validation_data=pictures(4), batch_size=8, verbose=0)
    assert count == [4, 32]
    # Of the two sets that are kept those that were asked for last.
    model.fit(pictures(), validation_data=pictures(5), batch_size=8, verbose=0)
    model.fit(pictures(), validation_data=pictures(4), batch_size=8, verbose=0)
    assert count == [4, 32, 5, 4] and len(model.space._kept) == 2


def test_captions_may_be_others(count):
    pytest.importorskip("tensorflow_text")
    model = compiled(tiny_latents.text_to_image, views={"flip": True})
    for captions in (tiny_latents.captions(), tiny_latents.captions()[::-1]):
        model.fit(pictures(), captions, batch_size=8, verbose=0)
    assert count == [32]


# === In a directory ===
def latents_in_a_process(directory):
    """In another process: what `latents` gives, and how often it was computed."""
    space = tiny_latents.space(**VIEWS)
    computed, own = [], space._computed
    space._computed = lambda *args: computed.append(1) or own(*args)
    return np.asarray(space.latents(images_of(pictures()), True, directory)), len(computed)


def test_another_process_reads_the_file(tmp_path):
    directory = tmp_path / "new" / "latents"
    first, computed = latents_in_a_process(directory)
    assert computed == 1 and len(list(directory.iterdir())) == 1
    again, computed = in_worker(latents_in_a_process, str(directory))
    assert computed == 0
    np.testing.assert_array_equal(again, first)


def test_another_model_reads_the_file(tmp_path, count):
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = compiled(tiny_latents.gan, views={"flip": True})
        model.fit(pictures(), validation_data=pictures(4), batch_size=8, verbose=0, latent_cache=tmp_path)
        weights.append(model.get_weights())
    assert count == [4, 32]
    for a, b in zip(*weights):
        np.testing.assert_array_equal(a, b)


def test_other_images_views_or_weights_do_not_meet_the_file(tmp_path, count):
    levels = pictures()
    changed = levels.copy()
    changed[-1, -1, -1, -1] ^= 1
    other = LatentSpace(tiny_latents.autoencoder(seed=1))
    wide = np.ascontiguousarray(levels.reshape(16, 8, 32, 3))
    for space, images, training in (
        (tiny_latents.space(), levels, True),
        (tiny_latents.space(), changed, True),
        (tiny_latents.space(), levels[:-1], True),
        (tiny_latents.space(), wide, True),
        (tiny_latents.space(flip=True), levels, True),
        (other, levels, True),
    ):
        space.latents(images_of(images), training, tmp_path)
    assert len(count) == 6 and len(list(tmp_path.iterdir())) == 6
    # The first view is the images themselves.
    tiny_latents.space(flip=True).latents(images_of(levels), False, tmp_path)
    assert len(count) == 6


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\0" * len(b), "other"])
def test_a_damaged_file_is_made_anew(damage, tmp_path, count):
    expected = tiny_latents.space().latents(images_of(pictures()), True, tmp_path)
    (file,) = tmp_path.iterdir()
    if damage == "other":
        np.save(file, np.zeros((2, 2)))
    else:
        file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(UserWarning, match=f"LatentSpace: .*{file.name} is damaged; its latents are computed again"):
        latents = tiny_latents.space().latents(images_of(pictures()), True, tmp_path)
    np.testing.assert_array_equal(latents, expected)
    assert len(count) == 2
    np.testing.assert_array_equal(tiny_latents.space().latents(images_of(pictures()), True, tmp_path), expected)
    assert len(count) == 2


def test_a_directory_that_is_a_file_is_told_of_before_the_work(tmp_path, count):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="latent_cache: cannot write to the directory .*file"):
        tiny_latents.space().latents(images_of(pictures()), True, tmp_path / "file")
    assert not count


# === Data of every form ===
def test_latents_are_standardized_in_the_step():
    model = compiled(tiny_latents.gan)
    data = model.image_input.for_training(pictures(), None, pictures(4), 8, True)
    for key in ("x", "validation_data"):
        assert data[key].shape[1:] == GRID
        expected = values(model.space.encode(in_network(pictures(len(data[key])))))
        np.testing.assert_allclose(values(model.prepare(data[key])["images"]), expected, atol=1e-5)


@pytest.mark.parametrize("low", [0, -1])
def test_float_images_in_both_ranges(low):
    model = compiled(tiny_latents.gan)
    levels = pictures()
    expected = tiny_latents.space().latents(images_of(levels), True)
    # The model may have been trained in the other range before.
    for start in (low, -1 - low, low):
        floats = np.float32(levels) / 255 if start == 0 else in_network(levels)
        data = model.image_input.for_training(floats, None, floats[:4], 8, True)
        np.testing.assert_allclose(data["x"], expected, atol=1e-5)
        np.testing.assert_allclose(data["validation_data"], expected[:4], atol=1e-5)
        encoded = values(model.prepare(ops.convert_to_tensor(floats))["images"])
        np.testing.assert_allclose(encoded, values(model.space.standardized(expected)), atol=1e-4)


class Batches(keras.utils.PyDataset):
    def __init__(self, images):
        super().__init__()
        self.images = images

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return self.images[8 * index : 8 * index + 8]


def test_batches_are_encoded_in_the_step(count):
    model = compiled(tiny_latents.vae)
    levels = pictures()
    history = model.fit(Batches(levels), validation_data=Batches(levels), verbose=0).history
    assert count == [8] and np.isfinite(list(history.values())).all()
    # The first batch set the standards.
    expected = tiny_latents.space()
    expected.latents(images_of(levels[:8]), True)
    np.testing.assert_allclose(values(model.space.mean), values(expected.mean), atol=1e-6)
    # The same losses as of arrays.
    by_batches = model.evaluate(Batches(levels), verbose=0, return_dict=True)
    of_arrays = model.evaluate(levels, batch_size=8, verbose=0, return_dict=True)
    np.testing.assert_allclose(by_batches["active_units"], of_arrays["active_units"], rtol=1e-4)
    assert 0.1 < of_arrays["latent_error"] < 3


def test_a_tensorflow_dataset(count):
    tf = pytest.importorskip("tensorflow")
    model = compiled(tiny_latents.gan)
    dataset = tf.data.Dataset.from_tensor_slices(np.float32(pictures()) / 255).batch(8)
    history = model.fit(dataset, validation_data=dataset, verbose=0).history
    assert count == [8] and np.isfinite(list(history.values())).all()
    assert model.image_input.float_range == (0, 1)


def test_a_generator_does_not_tell_the_standards():
    model = compiled(tiny_latents.vae)
    generator = ((pictures(8),) for _ in range(2))
    with pytest.raises(ValueError, match="VAE.fit: .* a generator cannot be read in advance. Pass arrays, a tf.data"):
        model.fit(generator, verbose=0)
    # Where it has them it learns.
    model.fit(pictures(), batch_size=8, verbose=0)
    assert np.isfinite(model.fit(generator, verbose=0).history["loss"]).all()


def test_a_directory_for_latents_that_are_not_kept(tmp_path):
    with pytest.raises(
        ValueError, match="VAE.fit: latent_cache is only for images in arrays; batches of a Batches are"
    ):
        compiled(tiny_latents.vae).fit(Batches(pictures()), latent_cache=tmp_path)


def test_single_batches():
    model = compiled(tiny_latents.vae, views={"flip": True})
    logs = model.train_on_batch(pictures(8), return_dict=True)
    assert np.isfinite(list(logs.values())).all() and model.space.has_standards
    expected = tiny_latents.space()
    expected.latents(images_of(pictures(8)), True)
    np.testing.assert_allclose(values(model.space.deviation), values(expected.deviation), atol=1e-6)
    logs = model.test_on_batch(pictures(8), return_dict=True)
    assert 0.1 < logs["latent_error"] < 5


def test_validation_split_holds_out_images_in_their_first_view():
    model = compiled(tiny_latents.vae, views=VIEWS)
    model.objective.posterior[False] = tiny.FixedPosterior(0.3)
    history = model.fit(pictures(), validation_split=0.25, batch_size=8, verbose=0).history
    logs = model.evaluate(pictures()[12:], batch_size=8, verbose=0, return_dict=True)
    assert model.optimizer.iterations == 2
    for name, value in logs.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-4, atol=1e-5)


def test_validation_split_with_labels():
    model = compiled(tiny_latents.gan, num_classes=tiny.CLASSES, views={"flip": True})
    history = model.fit(pictures(), tiny.labels(), validation_split=0.25, batch_size=8, verbose=0).history
    assert np.isfinite(history["val_loss"]).all() and model.optimizer.iterations == 2
    data = {"images": pictures(), "labels": tiny.labels()}
    history = model.fit(data, validation_split=0.25, batch_size=8, verbose=0).history
    assert np.isfinite(history["val_loss"]).all() and model.optimizer.iterations == 4


def test_validation_split_of_captioned_images():
    pytest.importorskip("tensorflow_text")
    model = compiled(tiny_latents.text_to_image, views=VIEWS)
    model.objective.posterior[False] = tiny.FixedPosterior(0.3)
    data = pictures(), tiny_latents.captions()
    history = model.fit(*data, validation_split=0.25, batch_size=8, verbose=0).history
    logs = model.evaluate(data[0][12:], data[1][12:], batch_size=8, verbose=0, return_dict=True)
    for name, value in logs.items():
        np.testing.assert_allclose(history[f"val_{name}"][-1], value, rtol=1e-4, atol=1e-5)
    features = model.image_input.table(data[1])
    features = features.gather(features.index(data[1]))
    features["mask"] = features["mask"].astype("int32")
    history = model.fit({"images": pictures(), **features}, validation_split=0.25, batch_size=8, verbose=0).history
    assert np.isfinite(history["val_loss"]).all()


# === Errors at the door ===
@pytest.mark.parametrize("cls", [GAN, VAE])
def test_shapes_that_it_does_not_take(cls):
    for shape, sides in (((16, 18, 3), r"\(16, 18, 3\)"), ((16, 16, 1), r"\(16, 16, 1\)")):
        message = f"{cls.__name__}: this LatentSpace needs images with 3 channels and sides divisible by 4; .*{sides}"
        with pytest.raises(ValueError, match=message):
            cls.from_image_shape(shape, space=tiny_latents.space())


def test_networks_of_other_shapes():
    message = r"must be for latents \(height, width, 2\), .* 4 times smaller .*; got \(8, 8, 3\)"
    with pytest.raises(ValueError, match=f"GAN: networks in this LatentSpace {message}"):
        GAN(tiny.decoder(), tiny.encoder(1), tiny.LATENT_DIM, space=tiny_latents.space())
    with pytest.raises(ValueError, match=f"VAE: networks in this LatentSpace {message}"):
        VAE(tiny.encoder(8), tiny.decoder(), tiny.LATENT_DIM, space=tiny_latents.space())
    pytest.importorskip("tensorflow_text")
    with pytest.raises(ValueError, match=r"TextToImage: .*\(8, 8, 3\)"):
        TextToImage(tiny_text.text_encoder(), SHAPE, **tiny.networks_for_text(16), space=tiny_latents.space())


@pytest.mark.parametrize("likelihood", [Logistic(), DiscretizedLogistic(), "bernoulli"])
def test_likelihoods_of_pixels(likelihood):
    with pytest.raises(ValueError, match="VAE: .*Logistic is only for pixels, because latents have no bounds"):
        tiny_latents.vae(reconstruction=likelihood)
    with pytest.raises(ValueError, match="VAE: .*Logistic is only for pixels, because latents have no bounds"):
        VAE.from_image_shape((64, 64, 3), reconstruction=likelihood, space=tiny_latents.space())


def test_what_is_about_pixels():
    gan = tiny_latents.gan()
    with pytest.raises(ValueError, match="GAN.compile: augmentation works on pixels, .*flip=True.* space=PixelSpace"):
        gan.compile(augmentation="diff_augment")
    vae = tiny_latents.vae()
    with pytest.raises(ValueError, match="VAE.compile: perceptual works on pixels, .*autoencoder .*space=PixelSpace"):
        vae.compile(perceptual="efficientnet_lite0")
    with pytest.raises(
        ValueError, match="VAE.denoise: denoising needs a likelihood of pixels, but this model's is of latents"
    ):
        vae.denoise(pictures(2), 0.1)


def test_what_is_no_autoencoder():
    with pytest.raises(TypeError, match="LatentSpace: autoencoder must be a kgen.models.Autoencoder, .*; got <GAN"):
        LatentSpace(tiny.gan())
    with pytest.raises(ValueError, match="there is no preset 'tiny_f9'"):
        LatentSpace("tiny_f9")


# === Files ===
def test_its_config_makes_another_like_it():
    space = tiny_latents.space(**VIEWS)
    space.latents(images_of(pictures()), training=True)
    other = LatentSpace.from_config(space.get_config())
    assert (other.flip, other.shift, other.factor, other.name) == (True, 4, 4, space.name)
    other.set_weights(space.get_weights())
    images = in_network(pictures(2))
    np.testing.assert_array_equal(values(other.encode(images)), values(space.encode(images)))
    np.testing.assert_array_equal(
        values(other.decode(other.encode(images))), values(space.decode(space.encode(images)))
    )


def test_of_a_preset(tmp_path):
    autoencoder = tiny_latents.autoencoder()
    autoencoder.save_to_preset(tmp_path / "preset")
    for name in (tmp_path / "preset", str(tmp_path / "preset")):
        space = LatentSpace(name)
        np.testing.assert_array_equal(space.encoder.get_weights()[0], autoencoder.encoder.get_weights()[0])


def test_it_stays_frozen_whatever_has_it():
    model = tiny_latents.gan()
    model.trainable = True
    assert not model.space.trainable and not model.space.trainable_variables
    assert not model.space.encoder.trainable_variables and model.generator.trainable_variables
