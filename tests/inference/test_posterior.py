import keras
import numpy as np
import pytest
from keras import ops

from kgen.models import VAE
from tests.models.linear import LATENT_DIM, SHAPE, LinearGaussian


@pytest.fixture(scope="module")
def exact():
    return LinearGaussian()


# === Latents and back ===
@pytest.mark.backends
def test_encode_and_decode(exact):
    images = exact.pictures(5)
    latents = exact.model.encode(images)
    assert latents.shape == (5, LATENT_DIM) and latents.dtype == np.float32
    decoded = (latents @ exact.weights + exact.means).reshape(5, *SHAPE)
    np.testing.assert_allclose(exact.model.decode(latents), (decoded + 1) * 127.5, atol=0.51)
    np.testing.assert_array_equal(exact.model.reconstruct(images, batch_size=2), exact.model.decode(latents))


@pytest.mark.backends
def test_draws_of_the_posterior_belong_to_the_picture_and_the_seed(exact):
    images = np.concatenate([exact.pictures(3)] * 2)
    drawn = exact.model.encode(images, seed=3)
    np.testing.assert_allclose(drawn[:3], drawn[3:], atol=1e-6)
    np.testing.assert_allclose(exact.model.encode(images[1:2], seed=3), drawn[1:2], atol=1e-6)
    assert np.abs(exact.model.encode(images, seed=4) - drawn).min() > 1e-4
    many = np.stack([exact.model.encode(images[:1], seed=seed)[0] for seed in range(200)])
    precision = 1.0 + np.sum(exact.weights**2, axis=1) / 0.2**2
    np.testing.assert_allclose(many.std(axis=0), precision**-0.5, rtol=0.2)


def test_the_same_picture_in_any_range(exact):
    images = (np.random.default_rng(0).random((3, *SHAPE)) * 255).astype("uint8")
    drawn = exact.model.encode(images, seed=1)
    for floats in (images / np.float32(255), images / np.float32(127.5) - 1):
        np.testing.assert_allclose(LinearGaussian().model.encode(floats, seed=1), drawn, atol=1e-4)


# === A learned prior ===
def two_clusters():
    """A model, and pictures whose latents are far from the standard normal prior, in two places."""
    linear = LinearGaussian()
    latents = np.repeat([[1.0, 0.5], [-1.0, 0.2]], 200, axis=0) + 0.05 * np.random.default_rng(0).normal(size=(400, 2))
    images = (latents @ linear.weights + linear.means).reshape(-1, *SHAPE)
    return linear, images.astype("float32")


@pytest.mark.backends
def test_a_learned_prior_is_what_generate_draws_from(tmp_path):
    linear, images = two_clusters()
    model = linear.model
    before = model.elbo(images, samples=8, batch_size=4096).mean()
    gain = model.fit_prior(images, components=2)
    np.testing.assert_allclose(model.elbo(images, samples=8, batch_size=4096).mean() - before, gain, atol=0.2)
    assert gain > 0.3
    pictures = model.generate(64, seed=0)
    # As near to the pictures as they are to each other.
    distance = np.abs(pictures[:, None] / 127.5 - 1.0 - images[None]).mean(axis=(2, 3, 4)).min(axis=1)
    assert np.quantile(distance, 0.9) < 0.15
    np.testing.assert_array_equal(model.generate(3, seed=0, batch_size=2), pictures[:3])
    np.testing.assert_array_equal(model.interpolate(5, 6, steps=2)[0], model.generate(1, seed=5)[0])

    model.save(tmp_path / "vae.keras")
    model.save_to_preset(tmp_path / "preset")
    for loaded in (keras.saving.load_model(tmp_path / "vae.keras"), VAE.from_preset(tmp_path / "preset")):
        np.testing.assert_array_equal(loaded.generate(8, seed=0), pictures[:8])

    model.compile(keras.optimizers.SGD(0.0))
    model.test_on_batch(images[:4])
    with pytest.warns(UserWarning, match="VAE: training moves the latents; the prior that fit_prior learned is"):
        model.train_on_batch(images[:4])
    assert model.sampler.prior is None and not np.array_equal(model.generate(8, seed=0), pictures[:8])


def test_a_learned_prior_is_exported(tmp_path, tensorflow_backend):
    import tensorflow as tf

    linear, images = two_clusters()
    linear.model.fit_prior(images, components=2)
    linear.model.export(tmp_path / "saved")
    serve = tf.saved_model.load(tmp_path / "saved").signatures["serving_default"]
    served = serve(count=tf.constant(5), seed=tf.constant(3))["images"].numpy()
    np.testing.assert_array_equal(served, linear.model.generate(5, seed=3))


def test_a_prior_for_each_class():
    linear = LinearGaussian(num_classes=3)
    labels = np.arange(300) % 3
    latents = np.array([[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0]])[labels]
    images = (latents @ linear.weights + linear.means[labels]).reshape(-1, *SHAPE)
    linear.model.fit_prior(images.astype("float32").clip(-1, 1), labels, components=1)
    pictures = linear.model.generate([0] * 20 + [2] * 20, seed=0) / 127.5 - 1.0
    for label, drawn in ((0, pictures[:20]), (2, pictures[20:])):
        np.testing.assert_allclose(drawn.mean(axis=0), images[labels == label][0].clip(-1, 1), atol=0.15)


def test_metrics_measure_pictures_of_the_learned_prior():
    linear, images = two_clusters()
    linear.model.fit_prior(images, components=2)
    batch = {"images": ops.convert_to_tensor(images)}
    drawn = ops.convert_to_numpy(linear.model.counterparts(batch, paired=False))
    assert drawn.shape == images.shape
    assert np.abs(drawn[:, None] - images[None]).mean(axis=(2, 3, 4)).min(axis=1).mean() < 0.08
    paired = ops.convert_to_numpy(linear.model.counterparts(batch, paired=True))
    np.testing.assert_allclose(paired, images, atol=0.3)
