import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.models import GAN, VAE, GenerativeModel
from kgen.networks import MultiscaleDecoder
from kgen.sampling.latents import spherical, truncated
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
            "the generator 'lazy' does not know its input shape. Begin it with keras.I",
        ),
        ({"decoder": tiny.encoder(8)}, ValueError, r"takes latents of shape \(None, 8, 8, 3\); latent_dim 4 asks for"),
        ({"latent_dim": 5}, ValueError, r"takes latents of shape \(None, 4\); latent_dim 5 asks for \(None, 5\)"),
        ({"latent_dim": 0}, ValueError, "latent_dim must be a positive integer; got 0"),
        ({"latent_dim": "4"}, ValueError, "latent_dim must be a positive integer; got '4'"),
        ({"num_classes": 1}, ValueError, "num_classes must be an integer above 1, or None; got 1"),
        ({"num_classes": 3}, ValueError, r"num_classes=3 needs a network .* 'pooled' of shape \(None, 3\); it has no"),
        ({"decoder": tiny.decoder(2), "num_classes": 3}, ValueError, "its 'pooled' has length 2"),
        ({"decoder": tiny.network("noise", (4,), (8, 8, 3), 3)}, ValueError, "must be a dict with 'latents' in it"),
        ({"decoder": tiny.network("latents", (4,), (192,))}, ValueError, r"must give images .*; got \(None, 192\)"),
        ({"encoder": layers.Dense(3)}, TypeError, "VAE: encoder must be a keras.Model; got Dense"),
        ({"encoder": unbuilt()}, ValueError, "VAE: the encoder 'lazy' does not know its input shape"),
        ({"encoder": tiny.encoder(4)}, ValueError, r"means and log-variances, shape \(batch, 8\); got \(None, 4\)"),
        (
            {"encoder": tiny.encoder(8, shape=(4, 4, 3))},
            ValueError,
            r"the encoder takes images of shape \(4, 4, 3\), but the decoder gives \(8, 8, 3\)",
        ),
        ({"discriminator": tiny.encoder(2)}, ValueError, r"VAE: the discriminator must give one logit a picture"),
        ({"ema_momentum": 1.0}, ValueError, r"momentum must be in \[0, 1\); got 1.0"),
        ({"seed": 0.5}, TypeError, "VAE: seed must be an integer or None; got 0.5"),
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
        ({"discriminator": unbuilt()}, ValueError, "GAN: the discriminator 'lazy' does not know its input shape"),
        ({"discriminator": tiny.encoder(3)}, ValueError, r"one logit a picture, shape \(batch, 1\); got \(None, 3\)"),
        (
            {"discriminator": tiny.encoder(1, shape=(4, 4, 3))},
            ValueError,
            r"GAN: the discriminator takes images of shape \(4, 4, 3\); \(8, 8, 3\) are generated",
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
    assert isinstance(conditional, GenerativeModel)
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
    images = conditional.generate([0, 1, 2, 1], seed=[4, 4, 4, 4])
    assert images.shape == (4, 8, 8, 3)
    nearly_equal(images[1], images[3])
    assert len({image.tobytes() for image in images[:3]}) == 3
    nearly_equal(conditional.generate(1, seed=4), images[1:2])
    nearly_equal(conditional.generate(np.array([2, 0]), seed=[4, 4]), images[[2, 0]])


@pytest.mark.backends
def test_truncated_latents(vae):
    random = np.random.default_rng(0)
    latents = random.normal(size=(20_000, 1)).astype("float32")
    cut = keras.ops.convert_to_numpy(truncated(latents, np.float32(0.7)))
    assert np.abs(cut).max() <= 0.7 + 1e-5
    # In the same order, and distributed as normal numbers are between -0.7 and 0.7.
    assert (np.diff(cut[np.argsort(latents[:, 0]), 0]) >= -1e-6).all()
    inside = latents[np.abs(latents) < 0.7]
    np.testing.assert_allclose(np.quantile(cut, [0.1, 0.5, 0.8]), np.quantile(inside, [0.1, 0.5, 0.8]), atol=0.03)
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
    nearly_equal(conditional.interpolate(3, 8, steps=2, label=2)[:1], conditional.generate(2, seed=3))


def test_interpolation_that_cannot_be(vae, conditional):
    with pytest.raises(ValueError, match="VAE.interpolate: steps must be an integer of at least 2; got 1"):
        vae.interpolate(0, 1, steps=1)
    for model, label in ((vae, 0), (conditional, None)):
        with pytest.raises(ValueError, match="a label is for models with num_classes"):
            model.interpolate(0, 1, label=label)
    with pytest.raises(ValueError, match="labels must be in 0 .. 2; got 3"):
        conditional.interpolate(0, 1, label=3)


def test_the_arc_between_two_vectors():
    first, second = np.array([2.0, 0.0]), np.array([0.0, 4.0])
    points = spherical(first, second, [0.0, 1 / 3, 0.5, 1.0])
    np.testing.assert_allclose(points[[0, 3]], [first, second], atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), [2, 2 + 2 / 3, 3, 4])
    np.testing.assert_allclose(np.degrees(np.arctan2(points[:, 1], points[:, 0])), [0, 30, 45, 90], atol=1e-9)
    np.testing.assert_allclose(spherical(first, 2 * first, [0.5]), [[3.0, 0.0]])


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
    draw = vae.draw
    monkeypatch.setattr(vae, "draw", lambda inputs: calls.append(1) or draw(inputs))
    for count in range(1, 9):
        vae.generate(count, seed=count)
    # JAX has one for each power of two; torch has none.
    assert len(calls) == {"tensorflow": 1, "jax": 4, "torch": 8}[keras.backend.backend()]


@pytest.mark.parametrize("what", [0, -1, 2.5, "2", [1, 2], True, None])
def test_how_many(vae, what):
    with pytest.raises(ValueError, match=r"VAE.generate: ask for a number of pictures, at least 1; got"):
        vae.generate(what)


@pytest.mark.parametrize(
    "labels, message",
    [
        ([], "VAE.generate: the list of labels is empty"),
        ([0, 3], "labels must be in 0 .. 2; got 0 to 3"),
        (-1, "labels must be in 0 .. 2; got -1 to -1"),
        ([0.0, 1.0], r"labels must be 2 integers, one a picture; got float64 of shape \(2,\)"),
        (["cat"], "labels must be 1 integers"),
        ([[0, 1]], r"got int64 of shape \(1, 2\)"),
    ],
)
def test_wrong_labels_to_generate(conditional, labels, message):
    with pytest.raises(ValueError, match=message):
        conditional.generate(labels)


def test_before_training_a_model_says_so():
    vae = tiny.vae()
    with pytest.warns(UserWarning, match="VAE has not been trained: expect noise") as warned:
        assert vae.generate(1).shape == (1, 8, 8, 3)
    # It points to the line that asked.
    assert [each.filename for each in warned if "expect noise" in str(each.message)] == [__file__]


def test_as_many_seeds_as_pictures(vae):
    with pytest.raises(ValueError, match="VAE.generate: give one seed, or one each for the 3; got 2 seeds"):
        vae.generate(3, seed=[1, 2])


# === What comes in ===
@pytest.mark.parametrize(
    "labels, message",
    [
        (None, r"VAE: the model has num_classes=3; give labels: fit\(images, labels\)"),
        (np.zeros(16), r"labels must be 16 integers, one a picture; got float64 of shape \(16,\)"),
        (np.zeros(15, int), r"labels must be 16 integers, one a picture; got int64 of shape \(15,\)"),
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
        vae.examine(given)
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
