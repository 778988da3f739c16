import pathlib

import keras
import numpy as np
import pytest

from kgen.metrics.image_errors import peak_signal_to_noise_ratio, perceptual_distance, structural_similarity
from kgen.training import backend

pytestmark = pytest.mark.backends


def numpy_of(function, *inputs):
    return keras.ops.convert_to_numpy(function(*inputs))


def noisy(images, deviation, seed=0):
    noise = np.random.default_rng(seed).normal(0.0, deviation, images.shape)
    return np.clip(images + noise, 0.0, 255.0).astype("float32")


@pytest.fixture
def images():
    """Four images with slopes, edges and texture, `(4, 24, 20, 3)`."""
    rows, columns = np.meshgrid(np.arange(24), np.arange(20), indexing="ij")
    slopes = np.stack([rows * 10.0, columns * 12.0, 255.0 * (rows > columns)], axis=-1)
    return np.stack([slopes, 255.0 - slopes, slopes[::-1] / 2, noisy(slopes, 60.0, seed=1)]).astype("float32")


@pytest.fixture(scope="module")
def photographs():
    """Photographs that scikit-image brings along, cut to `(3, 120, 150, 3)`."""
    skimage = pytest.importorskip("skimage")
    image = pytest.importorskip("PIL.Image")
    folder = pathlib.Path(skimage.__file__).parent / "data"
    files = [folder / f"{name}.png" for name in ("astronaut", "chelsea", "coffee")]
    if not all(file.exists() for file in files):
        pytest.skip("scikit-image came without its images")
    return np.stack([np.asarray(image.open(file).convert("RGB"), "float32")[60:180, 100:250] for file in files])


def blurred(images):
    """Means over 5 x 5 pixels, wrapped around."""
    shifts = range(-2, 3)
    return np.mean([np.roll(images, (i, j), axis=(1, 2)) for i in shifts for j in shifts], axis=0).astype("float32")


distortions = pytest.mark.parametrize(
    "distort",
    [
        lambda p: noisy(p, 25.0),
        lambda p: noisy(p, 0.5),
        blurred,
        lambda p: 255.0 - p,
        lambda p: 0.5 * p + 60.0,
        lambda p: np.roll(p, 1, axis=0),
    ],
    ids=["noise", "little noise", "blur", "negative", "low contrast", "other images"],
)


@distortions
def test_agrees_with_scikit_image(photographs, distort):
    reference = pytest.importorskip("skimage.metrics")
    generated = distort(photographs)
    pairs = [(a.astype("float64"), b.astype("float64")) for a, b in zip(photographs, generated)]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": -1}
    expected = [reference.structural_similarity(a, b, data_range=255, **options) for a, b in pairs]
    np.testing.assert_allclose(numpy_of(structural_similarity, photographs, generated), expected, atol=3e-6)
    expected = [reference.peak_signal_noise_ratio(a, b, data_range=255) for a, b in pairs]
    np.testing.assert_allclose(numpy_of(peak_signal_to_noise_ratio, photographs, generated), expected, atol=1e-4)


def test_agrees_with_tensorflow(images, tensorflow_backend):
    import tensorflow as tf

    # Heavy noise only: TensorFlow's own rounding is near 1e-4 where images are almost equal.
    generated = noisy(images, 40.0)
    expected = tf.image.ssim(images, generated, max_val=255.0)
    np.testing.assert_allclose(numpy_of(structural_similarity, images, generated), expected, atol=1e-5)
    expected = tf.image.psnr(images, generated, max_val=255.0)
    np.testing.assert_allclose(numpy_of(peak_signal_to_noise_ratio, images, generated), expected, atol=1e-4)


def keras_similarity(real, generated):
    return keras.ops.image.ssim(real, generated, max_val=255.0, data_format="channels_last")


@distortions
def test_agrees_with_keras(photographs, distort):
    generated = distort(photographs)
    expected = numpy_of(keras_similarity, photographs, generated)
    np.testing.assert_allclose(numpy_of(structural_similarity, photographs, generated), expected, atol=3e-5)


def test_keeps_digits_that_keras_loses():
    """Why we have our own. Once Keras is as exact here, it can take its place."""
    real, generated = (np.random.default_rng(0).uniform(-0.2, 0.2, (2, 1, 16, 16, 1)) + 254.0).astype("float32")
    exact = 1.0 - ssim_by_definition(real[0], generated[0])
    ours, theirs = (1.0 - numpy_of(each, real, generated)[0] for each in (structural_similarity, keras_similarity))
    assert abs(ours - exact) < 2e-3 * exact and abs(theirs - exact) > 2e-2 * exact


def ssim_by_definition(real, generated):
    """Window by window in float64, as the paper writes it, for one image."""
    along = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(along, along) / along.sum() ** 2
    values = []
    for c in range(real.shape[-1]):
        for i in range(real.shape[0] - 10):
            for j in range(real.shape[1] - 10):
                x, y = (p[i : i + 11, j : j + 11, c].astype("float64") for p in (real, generated))
                mx, my = (window * x).sum(), (window * y).sum()
                sx, sy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                sxy = (window * (x - mx) * (y - my)).sum()
                c1, c2 = 2.55**2, 7.65**2
                values.append((2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sx + sy + c2)))
    return np.mean(values)


@pytest.mark.parametrize("channels", [1, 3])
def test_structural_similarity_is_its_equation(images, channels):
    real = images[..., :channels]
    generated = noisy(real, 30.0)
    expected = [ssim_by_definition(a, b) for a, b in zip(real, generated)]
    result = numpy_of(structural_similarity, real, generated)
    assert result.shape == (4,) and result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=3e-6)


def test_little_contrast_on_a_bright_image_keeps_its_digits():
    # E[x^2] - E[x]^2 of such pixels in float32 is wrong by as much as the variance itself, about 0.01.
    draws = np.random.default_rng(0).uniform(-0.2, 0.2, (2, 1, 16, 16, 1)) + 254.0
    real, generated = draws.astype("float32")
    expected = 1.0 - ssim_by_definition(real[0], generated[0])
    np.testing.assert_allclose(1.0 - numpy_of(structural_similarity, real, generated)[0], expected, atol=5e-7)


def test_structural_similarity_of_constants():
    constant = lambda value: np.full((1, 12, 12, 3), value, "float32")  # noqa: E731
    for value in (0.0, 100.3, 255.0):
        assert numpy_of(structural_similarity, constant(value), constant(value)) == 1.0
    expected = (2 * 50 * 100 + 2.55**2) / (50**2 + 100**2 + 2.55**2)
    np.testing.assert_allclose(numpy_of(structural_similarity, constant(50), constant(100)), [expected], rtol=1e-6)


def test_equal_images_are_entirely_similar_and_others_less(images):
    np.testing.assert_array_equal(numpy_of(structural_similarity, images, images), 1.0)
    scores = [numpy_of(structural_similarity, images, noisy(images, d)).mean() for d in (2.0, 20.0, 80.0)]
    assert 1.0 > scores[0] > scores[1] > scores[2] > 0.0


def test_the_smallest_image_of_one_window():
    real = np.random.default_rng(0).uniform(0, 255, (2, 11, 11, 1)).astype("float32")
    result = numpy_of(structural_similarity, real, real[::-1])
    expected = ssim_by_definition(real[0], real[1])
    np.testing.assert_allclose(result, [expected, expected], atol=3e-6)


def test_peak_signal_to_noise_ratio_by_hand():
    real = np.zeros((3, 4, 5, 1), "float32")
    generated = real.copy()
    generated[0] += 10.0  # mean squared error 100
    generated[1, 0, 0] = 20.0  # 400 / 20
    generated[2] = 255.0
    expected = [10 * np.log10(255.0**2 / 100.0), 10 * np.log10(255.0**2 / 20.0), 0.0]
    result = numpy_of(peak_signal_to_noise_ratio, real, generated)
    assert result.shape == (3,) and result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_equal_images_have_100_decibels(images):
    np.testing.assert_allclose(numpy_of(peak_signal_to_noise_ratio, images, images), 100.0, rtol=1e-6)
    # As much as is promised of 8-bit images: one value off by one stays below.
    real = np.zeros((1, 226, 226, 3), "uint8")
    generated = real.copy()
    generated[0, 3, 4, 1] = 1
    assert 99.9 < numpy_of(peak_signal_to_noise_ratio, real, generated)[0] < 99.999


@pytest.mark.parametrize("measure", [peak_signal_to_noise_ratio, structural_similarity])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_image_spoils_itself_alone(images, measure, bad):
    generated = noisy(images, 10.0)
    expected = numpy_of(measure, images, generated)
    generated[1, 0, 0, 0] = bad
    result = numpy_of(measure, images, generated)
    good = [0, 2, 3]
    np.testing.assert_allclose(result[good], expected[good], rtol=1e-6)
    assert np.isnan(result[1]) or (bad == np.inf and result[1] == -np.inf)
    images[2, 5, 5, 2] = np.nan
    result = numpy_of(measure, images, generated)
    assert np.isnan(result[2]) and np.isfinite(result[[0, 3]]).all()


@pytest.mark.parametrize("measure", [peak_signal_to_noise_ratio, structural_similarity])
def test_in_a_graph_and_in_any_batch(images, measure):
    generated = noisy(images, 20.0)
    one_by_one = np.concatenate([numpy_of(measure, images[i : i + 1], generated[i : i + 1]) for i in range(4)])
    graph = backend.compiled(lambda batch: measure(batch["real"], batch["generated"]), lambda: [])
    for count in (4, 3):
        result = graph({"real": images[:count], "generated": generated[:count]})
        np.testing.assert_allclose(result, one_by_one[:count], rtol=2e-5)
    # Images of another size, in the same graph: TensorFlow may from then on not know the size.
    result = graph({"real": images[:, :15], "generated": generated[:, :15]})
    np.testing.assert_allclose(result, numpy_of(measure, images[:, :15], generated[:, :15]), rtol=2e-5)


@pytest.mark.parametrize("measure", [peak_signal_to_noise_ratio, structural_similarity])
def test_other_shapes_are_refused(measure):
    name = measure.__name__
    square = np.zeros((2, 12, 12, 3), "float32")
    with pytest.raises(ValueError, match=rf"{name}: .*the same shape .*; got \(2, 12, 12, 3\) and \(1, 12, 12, 3\)"):
        measure(square, square[:1])
    with pytest.raises(ValueError, match=rf"{name}: .*the same shape"):
        measure(square, square[..., :1])
    with pytest.raises(ValueError, match=rf"{name}: .*\(batch, height, width, channels\)"):
        measure(square[0], square[0])
    with pytest.raises(ValueError, match=rf"{name}: images must have 1 or 3 channels"):
        measure(square[..., :2], square[..., :2])


def test_images_smaller_than_the_window_are_refused():
    small = np.zeros((2, 10, 32, 3), "float32")
    with pytest.raises(ValueError, match="structural_similarity: .* at least 11 x 11 pixels.*got 10 x 32"):
        structural_similarity(small, small)


@pytest.fixture
def maps():
    """Feature maps of two layers, of real and of generated images."""
    draw = np.random.default_rng(0).normal
    shapes = [(3, 6, 5, 8), (3, 3, 2, 16)]
    return tuple([draw(size=shape).astype("float32") for shape in shapes] for _ in range(2))


def test_perceptual_distance_is_its_equation(maps):
    expected = np.zeros(3)
    for real, generated in zip(*maps):
        x, y = real.astype("float64"), generated.astype("float64")
        x, y = x / np.linalg.norm(x, axis=-1, keepdims=True), y / np.linalg.norm(y, axis=-1, keepdims=True)
        expected += ((x - y) ** 2).sum(axis=-1).mean(axis=(1, 2))
    result = numpy_of(perceptual_distance, *maps)
    assert result.shape == (3,) and result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5)
    by_layer = [numpy_of(perceptual_distance, maps[0][i : i + 1], maps[1][i : i + 1]) for i in range(2)]
    np.testing.assert_allclose(by_layer[0] + by_layer[1], expected, rtol=1e-5)


def test_perceptual_distance_is_of_directions(maps):
    real, generated = maps
    np.testing.assert_array_equal(numpy_of(perceptual_distance, real, real), 0.0)
    np.testing.assert_allclose(numpy_of(perceptual_distance, real, [7.0 * m for m in real]), 0.0, atol=1e-10)
    np.testing.assert_allclose(numpy_of(perceptual_distance, real, [-m for m in real]), 8.0, rtol=1e-5)
    # A position at which nothing fires has no direction: it is at distance 1 from those that have one.
    silent = [np.zeros_like(m) for m in real]
    np.testing.assert_array_equal(numpy_of(perceptual_distance, silent, silent), 0.0)
    np.testing.assert_allclose(numpy_of(perceptual_distance, silent, generated), 2.0, rtol=1e-5)


def test_perceptual_distance_keeps_images_apart_and_runs_in_a_graph(maps):
    real, generated = maps
    expected = numpy_of(perceptual_distance, real, generated)
    graph = backend.compiled(lambda m: perceptual_distance([m["a"], m["b"]], [m["c"], m["d"]]), lambda: [])
    generated[1][1, 0, 0, 0] = np.nan
    result = graph({"a": real[0], "b": real[1], "c": generated[0], "d": generated[1]})
    assert np.isnan(result[1])
    np.testing.assert_allclose(result[[0, 2]], expected[[0, 2]], rtol=2e-5)


def test_perceptual_distance_refuses_what_does_not_match(maps):
    real, generated = maps
    with pytest.raises(
        ValueError, match="perceptual_distance: .*same layers, at least one each; got list of 2 and list of 1"
    ):
        perceptual_distance(real, generated[:1])
    with pytest.raises(ValueError, match="got list of 0 and list of 0"):
        perceptual_distance([], [])
    with pytest.raises(ValueError, match=r"the same shape .*; got \(3, 6, 5, 8\) and \(3, 3, 2, 16\)"):
        perceptual_distance(real, generated[::-1])
    with pytest.raises(ValueError, match="got ndarray of 3 and ndarray of 3"):
        perceptual_distance(real[0], generated[0])


def test_images_without_pixels():
    empty = np.zeros((1, 0, 8, 3), "uint8")
    with pytest.raises(ValueError, match=r"peak_signal_to_noise_ratio: images must not be empty; got \(1, 0, 8, 3\)"):
        peak_signal_to_noise_ratio(empty, empty)
