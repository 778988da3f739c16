import keras
import numpy as np
import pytest

from kgen.inference.inversion import descend, invert
from kgen.inputs.pixels import NetworkImages
from tests.models import tiny


def drawing(num_classes=None):
    """A GAN of random weights, large enough for its pictures to differ, that counts as trained."""
    gan = tiny.gan(num_classes)
    for variable in gan.average.network.variables:
        variable.assign(2.0 * keras.random.normal(variable.shape, seed=len(variable.shape)))
    gan.average.updates.assign(1.0)
    return gan


@pytest.fixture(scope="module")
def gan():
    return drawing()


@pytest.fixture(scope="module")
def conditional():
    return drawing(tiny.CLASSES)


def error(images, others):
    """Root of the mean squared difference of each picture, in grey levels."""
    return np.sqrt(np.mean((images.astype(float) - others) ** 2, axis=(1, 2, 3)))


@pytest.mark.backends
def test_what_was_drawn_is_found_again(gan):
    images = gan.generate(6, seed=5)
    latents = gan.encode(images, steps=100, verbose=0)
    assert latents.shape == (6, 4) and latents.dtype == np.float32
    # Best of the random pictures to begin with: encode itself chooses among 256 of these.
    random = gan.generate(256, seed=0)
    best = np.array([error(random, image).min() for image in images])
    found = error(gan.decode(latents), images)
    # One or the other may end in a local minimum, and that is another with each backend's random weights.
    assert (found < 0.5 * best).all() and np.median(found) < 0.05 * np.median(best)
    # The small pull to the middle of the normal distribution leaves them no longer than random ones.
    assert np.linalg.norm(latents, axis=1).max() < 5.0


@pytest.mark.backends
def test_a_pictures_latents_are_its_own(gan):
    images = gan.generate(5, seed=5)
    together = gan.encode(images, steps=40, verbose=0)
    np.testing.assert_allclose(gan.encode(images, steps=40, batch_size=2, verbose=0), together, atol=2e-3)
    np.testing.assert_allclose(gan.encode(images[3:4], steps=40, verbose=0), together[3:4], atol=2e-3)


def test_the_seed_says_where_it_begins(gan):
    images = gan.generate(3, seed=5)
    first, again, other = (gan.encode(images, steps=1, seed=seed, verbose=0) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_more_steps_come_nearer(gan):
    images = gan.generate(4, seed=5)
    few, many = (error(gan.decode(gan.encode(images, steps=n, verbose=0)), images).mean() for n in (1, 50))
    assert many < 0.5 * few


def test_the_same_picture_in_any_range(gan):
    images = gan.generate(3, seed=5)
    latents = gan.encode(images, steps=10, verbose=0)
    np.testing.assert_allclose(gan.encode(images / np.float32(255), steps=10, verbose=0), latents, atol=1e-3)
    np.testing.assert_allclose(gan.encode(images / np.float32(127.5) - 1, steps=10, verbose=0), latents, atol=1e-3)


@pytest.mark.backends
def test_with_labels(conditional):
    labels = [0, 1, 2, 1]
    images = conditional.generate(labels=labels, seed=5)
    latents = conditional.encode(images, labels, steps=100, verbose=0)
    found = error(conditional.decode(latents, labels), images)
    assert found.max() < 12.0
    # Under another label the same latents are other pictures.
    assert error(conditional.decode(latents, [1, 2, 0, 0]), images).min() > 2.0 * found.max()


@pytest.mark.backends
def test_it_inverts_the_weights_of_now():
    gan = drawing()
    gan.encode(gan.generate(2, seed=5), steps=5, verbose=0)
    for variable in gan.average.network.variables:
        variable.assign(-variable)
    images = gan.generate(2, seed=5)
    np.testing.assert_allclose(error(gan.decode(gan.encode(images, steps=100, verbose=0)), images), 0.0, atol=8.0)


def test_decode_gives_the_pictures_of_latents(gan):
    latents = np.random.default_rng(0).normal(size=(3, 4))
    expected = keras.ops.convert_to_numpy(gan(keras.ops.convert_to_tensor(latents.astype("float32"))))
    images = gan.decode(latents, batch_size=2)
    assert images.dtype == np.uint8 and np.abs(images - (expected + 1) * 127.5).max() < 0.6


def test_progress(gan, capsys):
    images = gan.generate(3, seed=5)
    gan.encode(images, steps=2, batch_size=2, verbose=1)
    assert "6/6" in capsys.readouterr().out
    gan.encode(images, steps=2, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "changed, error, message",
    [
        ({"images": "picture.png"}, TypeError, "GAN.encode: images must be an array"),
        ({"images": np.zeros((2, 4, 4, 3), "uint8")}, ValueError, r"GAN.encode: images must have shape \(N, 8, 8, 3\)"),
        ({"images": np.full((2, 8, 8, 3), 7.0)}, ValueError, "GAN.encode: images must be uint8, or float in"),
        ({"steps": 0}, ValueError, "GAN.encode: steps must be an integer of at least 1; got 0"),
        ({"steps": 1.5}, ValueError, "GAN.encode: steps must be an integer of at least 1; got 1.5"),
        ({"batch_size": 0}, ValueError, "GAN.encode: batch_size must be an integer of at least 1; got 0"),
        ({"seed": 2**31}, ValueError, "GAN.encode: seed must be an integer from .*; got 2147483648"),
        ({"seed": None}, ValueError, "GAN.encode: seed must be an integer from -2147483647 to 2147483647; got None"),
        ({"labels": [0, 1]}, ValueError, "GAN.encode: models with num_classes need labels, and others take none"),
    ],
)
def test_what_cannot_be_encoded(gan, changed, error, message):
    with pytest.raises(error, match=message):
        gan.encode(**{"images": tiny.pictures(2), "verbose": 0, **changed})


def test_labels_that_do_not_fit(conditional):
    with pytest.raises(ValueError, match="GAN.encode: models with num_classes need labels, and others take none"):
        conditional.encode(tiny.pictures(2))
    with pytest.raises(ValueError, match=r"GAN.encode: labels must be in 0 \.\. 2; got 0 to 3"):
        conditional.encode(tiny.pictures(2), [0, 3])
    with pytest.raises(ValueError, match="GAN.decode: labels must be 2 integers, one for each image"):
        conditional.decode(np.zeros((2, 4)), [1])


def test_latents_that_cannot_be_decoded(gan):
    for wrong in (np.zeros((2, 5)), np.zeros(4), np.zeros((0, 4))):
        with pytest.raises(ValueError, match=r"GAN.decode: latents must have shape \(N, 4\); got \("):
            gan.decode(wrong)
    with pytest.raises(ValueError, match="GAN.decode: latents must be finite"):
        gan.decode(np.full((1, 4), np.nan))


def test_the_descent_keeps_the_best_point_of_each_row(gan):
    images = gan.generate(4, seed=0)
    # The pictures are themselves among the random ones: what it begins with is kept unless something is better.
    latents = invert(gan, NetworkImages(images, (0, 255)), {}, steps=1, seed=0, batch_size=4, verbose=0)
    assert error(gan.decode(latents), images).max() < 2.0


def test_each_row_comes_to_its_own_minimum():
    target = np.array([[1.0, -2.0], [0.5, 0.0]], "float32")
    steps = []

    def slope(points, step):
        steps.append(step)
        return (points - target) * [[1.0, 10.0], [0.01, 1.0]]

    found = descend(slope, np.zeros((2, 2), "float32"), 200)
    np.testing.assert_allclose(found, target, atol=0.02)
    assert found.dtype == np.float32 and steps == list(range(200))


def test_the_first_step_has_the_size_of_the_rate():
    found = descend(lambda points, step: np.array([[3.0, -1e-3]]), np.zeros((1, 2), "float32"), 1, rate=0.5)
    np.testing.assert_allclose(found, [[-0.5, 0.5]], rtol=1e-3)
