import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen import progress
from kgen.inputs import ImageInput
from kgen.layers import Upscale
from kgen.models import GAN, VAE
from kgen.models.image_model import ImageModel
from kgen.networks import MultiscaleDecoder
from kgen.sampling.latents import seeds_and_indices
from kgen.sampling.sampler import Sampler
from kgen.training import image_noise
from tests.checks import models
from tests.models import tiny


def ready(model):
    """A model that counts as trained."""
    model.average.updates.assign(1.0)
    return model


@pytest.fixture(scope="module")
def vae():
    return ready(models.make(tiny.vae))


@pytest.fixture(scope="module")
def conditional():
    return ready(tiny.vae(tiny.CLASSES))


def nearly_equal(images, others):
    """Exactly equal on TensorFlow's CPU kernels, else to one grey level."""
    levels = 0 if keras.backend.backend() == "tensorflow" else 1
    assert images.shape == others.shape
    assert np.abs(images.astype(int) - others.astype(int)).max() <= levels


# === Building ===
def build(**changed):
    parts = {"encoder": tiny.encoder(8), "decoder": tiny.decoder(), "latent_dim": 4}
    return VAE(**{**parts, **changed})


def build_gan(**changed):
    parts = {"generator": tiny.decoder(), "discriminator": tiny.encoder(1), "latent_dim": 4}
    return GAN(**{**parts, **changed})


def unbuilt():
    return keras.Sequential([layers.Dense(4)], name="lazy")


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"decoder": layers.Dense(3)}, TypeError, "VAE: generator must be a keras.Model; got Dense"),
        (
            {"decoder": unbuilt()},
            ValueError,
            "the generator 'lazy' has no known input shape. Start it with keras.I",
        ),
        ({"decoder": tiny.encoder(8)}, ValueError, r"takes latents of shape \(None, 8, 8, 3\), but latent_dim=4 needs"),
        ({"latent_dim": 5}, ValueError, r"takes latents of shape \(None, 4\), but latent_dim=5 needs \(None, 5\)"),
        ({"latent_dim": 0}, ValueError, "latent_dim must be an integer of at least 1; got 0"),
        ({"latent_dim": "4"}, ValueError, "latent_dim must be an integer of at least 1; got '4'"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer of at least 2; got 1"),
        ({"num_classes": 3}, ValueError, r"num_classes=3 needs a network .* 'pooled' of shape \(None, 3\); it has no"),
        ({"decoder": tiny.decoder(2), "num_classes": 3}, ValueError, "its 'pooled' has length 2"),
        ({"decoder": tiny.network("noise", (4,), (8, 8, 3), 3)}, ValueError, "must be a dict with 'latents' in it"),
        ({"decoder": tiny.network("latents", (4,), (192,))}, ValueError, r"must give images .*; got \(None, 192\)"),
        ({"encoder": layers.Dense(3)}, TypeError, "VAE: encoder must be a keras.Model; got Dense"),
        ({"encoder": unbuilt()}, ValueError, "VAE: the encoder 'lazy' has no known input shape"),
        ({"encoder": tiny.encoder(4)}, ValueError, r"means and log-variances, shape \(batch, 8\); got \(None, 4\)"),
        (
            {"encoder": tiny.encoder(8, shape=(4, 4, 3))},
            ValueError,
            r"the encoder takes images of shape \(4, 4, 3\), but the decoder gives \(8, 8, 3\)",
        ),
        ({"discriminator": tiny.encoder(2)}, ValueError, r"VAE: the discriminator must give one logit per image"),
        ({"ema_momentum": 1.0}, ValueError, r"momentum must be in \[0, 1\); got 1.0"),
        ({"seed": 0.5}, ValueError, "VAE: seed must be an integer from .*; got 0.5"),
    ],
)
def test_networks_that_do_not_fit(changed, error, message):
    with pytest.raises(error, match=message):
        build(**changed)


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"generator": "generator"}, TypeError, "GAN: generator must be a keras.Model; got str"),
        ({"discriminator": None}, TypeError, "GAN: discriminator must be a keras.Model; got NoneType"),
        ({"discriminator": unbuilt()}, ValueError, "GAN: the discriminator 'lazy' has no known input shape"),
        ({"discriminator": tiny.encoder(3)}, ValueError, r"one logit per image, .*; got \(None, 3\)"),
        (
            {"discriminator": tiny.encoder(1, shape=(4, 4, 3))},
            ValueError,
            r"GAN: the discriminator takes images of shape \(4, 4, 3\), but the generated images have \(8, 8, 3\)",
        ),
        ({"discriminator": tiny.network("x", (8, 8, 3), (1,), 3)}, ValueError, r"'images' in it, .* \['pooled', 'x'\]"),
    ],
)
def test_networks_of_a_gan_that_do_not_fit(changed, error, message):
    with pytest.raises(error, match=message):
        build_gan(**changed)


def test_inputs_need_names():
    inputs = [keras.Input((4,)), keras.Input((3,))]
    x = layers.Reshape((8, 8, 3))(layers.Dense(192)(layers.Concatenate()(inputs)))
    with pytest.raises(ValueError, match=r"several inputs .* must be a dict with 'latents' in it.* has a list of 2"):
        build(decoder=keras.Model(inputs, x))


def test_what_a_model_knows_of_itself(conditional):
    assert isinstance(conditional, ImageModel)
    assert conditional.image_shape == (8, 8, 3) and conditional.latent_dim == 4 and conditional.num_classes == 3
    config = conditional.get_config()
    assert (config["latent_dim"], config["num_classes"], config["ema_momentum"], config["seed"]) == (4, 3, 0.999, 0)
    assert not build().trained and conditional.trained


# === Generating ===
@pytest.mark.backends
def test_pictures_are_what_the_network_makes_of_the_noise(vae):
    images = vae.generate(3, seed=5)
    assert images.shape == (3, 8, 8, 3) and images.dtype == "uint8"
    outputs = ops.convert_to_numpy(vae.decoder(image_noise([5, 5, 5], [0, 1, 2], 4)))
    expected = (np.clip(np.float64(outputs), -1, 1) + 1) * 127.5
    assert np.abs(images - expected).max() <= 0.51


@pytest.mark.backends
def test_seeds(vae):
    images = vae.generate(4, seed=0)
    np.testing.assert_array_equal(images, vae.generate(4, seed=0))
    assert len({image.tobytes() for image in images}) == 4
    assert not np.array_equal(images, vae.generate(4, seed=1))
    # None is another seed each time; 0 is not None.
    assert not np.array_equal(vae.generate(4), vae.generate(4))
    # A list gives each seed its first picture.
    of_list = vae.generate(3, seed=[1, 0, 1])
    nearly_equal(of_list, np.concatenate([vae.generate(1, seed=seed) for seed in (1, 0, 1)]))
    nearly_equal(of_list[1], images[0])


@pytest.mark.backends
def test_a_picture_is_the_same_alone_and_in_any_batch():
    sizes = {"start": 4, "filters": 8, "attention_resolutions": (8,), "num_heads": 2, "condition_dim": 8}
    vae = ready(VAE(tiny.encoder(8), MultiscaleDecoder(tiny.SHAPE, 4, **sizes), latent_dim=4))
    together = vae.generate(7, seed=3)
    assert together.std() > 1
    for batch_size in (1, 3):
        nearly_equal(vae.generate(7, seed=3, batch_size=batch_size), together)
    for count in (1, 3):
        nearly_equal(vae.generate(count, seed=3), together[:count])


@pytest.mark.backends
def test_labels_choose_what_is_drawn(conditional):
    images = conditional.generate(labels=[0, 1, 2, 1], seed=[4, 4, 4, 4])
    assert images.shape == (4, 8, 8, 3)
    nearly_equal(images[1], images[3])
    assert len({image.tobytes() for image in images[:3]}) == 3
    nearly_equal(conditional.generate(labels=1, seed=4), images[1:2])
    nearly_equal(conditional.generate(labels=np.array([2, 0]), seed=[4, 4]), images[[2, 0]])


@pytest.mark.backends
def test_truncated_latents(vae):
    # A limit that nothing reaches changes nothing; a small one makes pictures alike.
    whole = vae.generate(6, seed=0)
    assert np.abs(vae.generate(6, seed=0, truncation=6.0).astype(int) - whole).max() <= 1
    narrow = vae.generate(6, seed=0, truncation=0.05)
    assert narrow.std(axis=0).mean() < 0.2 * whole.std(axis=0).mean()
    for wrong in (0, -1.0):
        with pytest.raises(ValueError, match="VAE.generate: truncation must be positive"):
            vae.generate(1, truncation=wrong)


@pytest.mark.backends
def test_interpolation_begins_and_ends_at_the_pictures_of_the_seeds(vae, conditional):
    images = vae.interpolate(3, 8, steps=5)
    assert images.shape == (5, *tiny.SHAPE) and images.dtype == np.uint8
    nearly_equal(images[[0, 4]], np.concatenate([vae.generate(1, seed=3), vae.generate(1, seed=8)]))
    steps = np.abs(np.diff(images.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 0.75 * np.abs(images[0].astype(int) - images[4]).mean()
    nearly_equal(conditional.interpolate(3, 8, steps=2, label=2)[:1], conditional.generate(labels=2, seed=3))


def test_interpolation_that_cannot_be(vae, conditional):
    with pytest.raises(ValueError, match="VAE.interpolate: a seed must be an integer below"):
        vae.interpolate(0, 2**31)
    with pytest.raises(ValueError, match="VAE.interpolate: steps must be an integer of at least 2; got 1"):
        vae.interpolate(0, 1, steps=1)
    for model, label in ((vae, 0), (conditional, None)):
        with pytest.raises(ValueError, match="models with num_classes need labels, and others take none"):
            model.interpolate(0, 1, label=label)
    with pytest.raises(ValueError, match="labels must be in 0 .. 2; got 3 to 3"):
        conditional.interpolate(0, 1, label=3)


@pytest.mark.backends
def test_the_averaged_weights_generate():
    vae = ready(models.make(tiny.vae))
    before = vae.generate(2, seed=0)
    vae.decoder.set_weights([w + 1.0 for w in vae.decoder.get_weights()])
    np.testing.assert_array_equal(vae.generate(2, seed=0), before)
    vae.average.network.set_weights(vae.decoder.get_weights())
    assert not np.array_equal(vae.generate(2, seed=0), before)


def test_one_graph_for_batches_of_any_size(monkeypatch):
    vae, calls = ready(tiny.vae()), []
    draw = vae.sampler.draw
    monkeypatch.setattr(vae.sampler, "draw", lambda inputs: calls.append(1) or draw(inputs))
    for count in range(1, 9):
        vae.generate(count, seed=count)
    # JAX has one for each power of two; torch has none.
    assert len(calls) == {"tensorflow": 1, "jax": 4, "torch": 8}[keras.backend.backend()]


@pytest.mark.parametrize("what", [0, -1, 2.5, "2", [1, 2], True, None])
def test_how_many(vae, what):
    with pytest.raises(ValueError, match="VAE.generate: num_images must be an integer of at least 1; got"):
        vae.generate(what)


def test_the_count_has_one_name(vae, conditional):
    nearly_equal(vae.generate(num_images=3, seed=0), vae.generate(3, seed=0))
    two_each = conditional.generate(labels=[2, 0], num_images=2, seed=5)
    nearly_equal(two_each, conditional.generate(labels=[2, 2, 0, 0], seed=5))
    own = conditional.generate(labels=[2, 0], num_images=2, seed=[5, 6])
    nearly_equal(own[2:], conditional.generate(labels=0, num_images=2, seed=6))
    with pytest.raises(ValueError, match="VAE.generate: models with num_classes need labels"):
        vae.generate(labels=[0])
    for wrong in ({}, {"num_images": 2}, {"num_images": [0, 1]}):
        with pytest.raises(
            ValueError, match=r"VAE.generate: this model has 3 classes; choose them, for example generate\(labels="
        ):
            conditional.generate(**wrong)


@pytest.mark.parametrize(
    "labels, message",
    [
        ([], "VAE.generate: the list of labels is empty"),
        ([0, 3], "labels must be in 0 .. 2; got 0 to 3"),
        (-1, "labels must be in 0 .. 2; got -1 to -1"),
        ([0.0, 1.0], r"labels must be 2 integers, one for each image; got float64 of shape \(2,\)"),
        (["cat"], "labels must be 1 integers"),
        ([[0, 1]], r"got int64 of shape \(1, 2\)"),
    ],
)
def test_wrong_labels_to_generate(conditional, labels, message):
    with pytest.raises(ValueError, match=message):
        conditional.generate(labels=labels)


def test_before_training_a_model_says_so():
    vae = tiny.vae()
    with pytest.warns(UserWarning, match="VAE has not been trained: expect noise") as warned:
        assert vae.generate(1).shape == (1, 8, 8, 3)
    # It points to the line that asked.
    assert [each.filename for each in warned if "expect noise" in str(each.message)] == [__file__]


def test_as_many_seeds_as_pictures(vae):
    with pytest.raises(ValueError, match="VAE.generate: give one seed, or 3 seeds; got 2 seeds"):
        vae.generate(3, seed=[1, 2])


# === From arrays to images ===
SHAPE = (2, 3, 1)


class Shades(Sampler):
    """Draws one shade for an image, its seed times ten plus its index."""

    def __init__(self, model):
        super().__init__(model)
        self.drawn = []

    def draw(self, inputs):
        self.drawn.append(True)
        shades = ops.cast(10 * inputs["seeds"] + inputs["indices"], "uint8")
        return ops.reshape(shades, (-1, 1, 1, 1)) * ops.ones((1, *SHAPE), "uint8")


class Shade(ImageModel):
    image_shape = SHAPE
    trained = True

    def __init__(self, postprocessing=()):
        super().__init__()
        self.postprocessing = list(postprocessing)
        self.image_input = ImageInput("Shade", SHAPE, self.float_scale)
        self.sampler = Shades(self)
        self.built = True


def asked(count):
    return dict(zip(("seeds", "indices"), seeds_and_indices("Shade", 1, count)))


@pytest.mark.backends
@pytest.mark.parametrize("batch_size", [1, 3, 5, 64])
def test_batches_are_put_together(batch_size):
    images = Shade().sampler.run(asked(5), batch_size=batch_size)
    assert images.shape == (5, *SHAPE) and images.dtype == "uint8"
    np.testing.assert_array_equal(images[:, 0, 0, 0], [10, 11, 12, 13, 14])


def test_no_retracing_for_other_batch_sizes(tensorflow_backend):
    sampler = Shade().sampler
    for batch_size in range(1, 9):
        sampler.run(asked(8), batch_size=batch_size)
    assert len(sampler.drawn) == 1


@pytest.mark.parametrize(
    "patience, verbose, shown", [(60.0, "auto", False), (0.0, "auto", True), (60.0, 1, True), (0.0, 0, False)]
)
def test_progress_on_long_work(patience, verbose, shown, capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    Shade().sampler.run(asked(9), batch_size=1, verbose=verbose)
    assert ("9/9" in capsys.readouterr().out) == shown


def test_a_model_that_has_not_been_trained_says_so(monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        Shade().sampler.run(asked(1))
    monkeypatch.setattr(Shade, "trained", False)
    with pytest.warns(UserWarning, match="Shade has not been trained: expect noise"):
        Shade().sampler.run(asked(1))


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "2"])
def test_batch_size_is_a_positive_integer(batch_size):
    with pytest.raises(ValueError, match="Shade: batch_size must be an integer of at least 1; got"):
        Shade().sampler.run(asked(1), batch_size=batch_size)


# === Post-processing ===
class Half(keras.layers.Layer):
    """Halves the values that it is given; in training it fails."""

    def call(self, images, training=None):
        assert training is False
        return images / 2

    def compute_output_shape(self, input_shape):
        return input_shape


@pytest.mark.backends
def test_layers_work_between_0_and_1_on_what_was_drawn():
    sampler, plain = Shade([Half(), Upscale(2)]).sampler, Shade().sampler
    assert sampler.image_shape == (4, 6, 1) and plain.image_shape == SHAPE
    drawn = np.array([-1.5, -1.0, 0.0, 1.0, 1.5], "float32").reshape(-1, 1, 1, 1) * np.ones((1, *SHAPE), "float32")
    images = ops.convert_to_numpy(sampler.finished(ops.convert_to_tensor(drawn)))
    assert images.shape == (5, 4, 6, 1) and images.dtype == "uint8"
    assert np.abs(images[:, 0, 0, 0].astype(int) - [0, 0, 64, 128, 128]).max() <= 1
    images = ops.convert_to_numpy(plain.finished(ops.convert_to_tensor(drawn)))
    assert images[:, 0, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_other_layers_after_the_first_images():
    gan = ready(tiny.gan())
    height, width = gan.generate(1, seed=0).shape[1:3]
    gan.postprocessing = [Upscale(2)]
    assert gan.generate(1, seed=0).shape[1:3] == (2 * height, 2 * width)


@pytest.mark.parametrize("make", [tiny.gan, tiny.vae])
def test_layers_are_in_the_configuration_and_not_trained(make):
    model = make(postprocessing=[keras.layers.AutoContrast(value_range=(0, 1)), keras.layers.Conv2D(3, 3)])
    again = type(model).from_config(model.get_config()).postprocessing
    assert [type(layer).__name__ for layer in again] == ["AutoContrast", "Conv2D"]
    assert not any(layer.trainable for layer in again)
    with pytest.raises(TypeError, match=f"{type(model).__name__}: postprocessing must be .* got function in it"):
        make(postprocessing=[asked])


@pytest.mark.backends
def test_keras_stretches_contrast_the_same_everywhere():
    drawn = np.linspace(-0.5, 0.5, 12, dtype="float32").reshape(2, *SHAPE)
    sampler = Shade([keras.layers.AutoContrast(value_range=(0, 1))]).sampler
    images = ops.convert_to_numpy(sampler.finished(ops.convert_to_tensor(drawn)))
    np.testing.assert_array_equal(images.reshape(2, -1), [[0, 51, 102, 153, 204, 255]] * 2)


# === What comes in ===
@pytest.mark.parametrize(
    "labels, message",
    [
        (None, r"VAE: labels must be given; call fit\(images, labels\), or"),
        (np.zeros(16), r"labels must be 16 integers, one for each image; got float64 of shape \(16,\)"),
        (np.zeros(15, int), r"labels must be 16 integers, one for each image; got int64 of shape \(15,\)"),
        (np.zeros((16, 3), int), r"got int64 of shape \(16, 3\)"),
        (np.arange(16), "labels must be in 0 .. 2; got 0 to 15"),
        (tiny.labels() - 1, "labels must be in 0 .. 2; got -1 to 1"),
    ],
)
def test_wrong_labels_to_fit(conditional, labels, message):
    with pytest.raises(ValueError, match=message):
        conditional.fit(tiny.pictures(), labels)
    with pytest.raises(ValueError, match=message):
        conditional.fit({"images": tiny.pictures(), **({} if labels is None else {"labels": labels})})


@pytest.mark.backends
def test_labels_become_one_hot_conditions(conditional):
    for x, y in ((tiny.pictures(4), tiny.labels(4)), ({"images": tiny.pictures(4), "labels": tiny.labels(4)}, None)):
        x = keras.tree.map_structure(ops.convert_to_tensor, x)
        batch = conditional.prepare(x, None if y is None else ops.convert_to_tensor(y))
        assert set(batch) == {"images", "pooled"}
        np.testing.assert_array_equal(ops.convert_to_numpy(batch["pooled"]), np.eye(3)[[0, 1, 2, 0]])


@pytest.mark.backends
def test_all_ranges_are_one_inside(vae):
    images = tiny.pictures()
    for given in (images, images / np.float32(255), images / np.float32(127.5) - 1):
        vae.image_input.learn_range(vae.image_input.check(given))
        inside = ops.convert_to_numpy(vae.prepare(ops.convert_to_tensor(given))["images"])
        np.testing.assert_allclose(inside, images / 127.5 - 1, atol=1e-6)


@pytest.fixture(scope="module", params=[tiny.gan, tiny.vae])
def compiled(request):
    model = request.param()
    model.compile()
    return model


@pytest.mark.parametrize(
    "images, error",
    [
        (np.zeros((16, 8, 8), "uint8"), ValueError),
        (np.zeros((16, 8, 8, 1), "uint8"), ValueError),
        (np.zeros((16, 16, 16, 3), "uint8"), ValueError),
        (np.zeros((0, 8, 8, 3), "uint8"), ValueError),
        (np.zeros((16, 8, 8, 3), "int64"), TypeError),
        (np.full((16, 8, 8, 3), 200.0), ValueError),
        (np.full((16, 8, 8, 3), np.nan), ValueError),
        ([[1, 2]], TypeError),
    ],
)
def test_bad_pictures_are_named_in_one_line(compiled, images, error):
    before = models.state(compiled)
    with pytest.raises(error, match=rf"^{type(compiled).__name__}: images must .*\S$") as caught:
        compiled.fit(images)
    assert "\n" not in str(caught.value)
    models.assert_same_state(before, models.state(compiled))
