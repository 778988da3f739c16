import keras
import numpy as np
import pytest
from keras import ops

from kgen.inputs import pixels
from tests.models import tiny

SHAPE = (4, 6, 3)


def uniform(low, high, count=3):
    images = np.random.default_rng(0).uniform(low, high, (count, *SHAPE)).astype("float32")
    images[0, 0, 0], images[-1, -1, -1] = low, high
    return images


# === The range ===
@pytest.mark.backends
@pytest.mark.parametrize(
    "images, expected",
    [
        (np.zeros((3, *SHAPE), "uint8"), (0, 255)),
        (uniform(0, 1), (0, 1)),
        (uniform(-1, 1), (-1, 1)),
        (uniform(0, 1).astype("float64"), (0, 1)),
        (uniform(-1, 1).astype("float16"), (-1, 1)),
        (uniform(-0.001, 1), (-1, 1)),
    ],
)
def test_range_of_arrays_and_tensors(images, expected):
    assert pixels.image_range("Model", images, SHAPE) == expected
    if images.dtype != "float64":
        assert pixels.image_range("Model", ops.convert_to_tensor(images), SHAPE) == expected


def test_every_image_is_looked_at():
    images = np.zeros((600, *SHAPE), "float32")
    images[-1, 0, 0, 0] = -1.0
    assert pixels.image_range("Model", images, SHAPE) == (-1, 1)
    images[299] = 2.0
    with pytest.raises(ValueError, match="from -1 to 2"):
        pixels.image_range("Model", images, SHAPE)


@pytest.mark.parametrize(
    "images, error, message",
    [
        ([[1.0]], TypeError, r"Model: images must be an array \(N, height, width, channels\); got list"),
        ("cat.png", TypeError, "Model: images must be an array .*; got str"),
        (
            np.zeros(SHAPE),
            ValueError,
            r"shape \(N, 4, 6, 3\); got \(4, 6, 3\). Make a batch: images\[None\] for a single image",
        ),
        (np.zeros((3, 4, 6)), ValueError, r"Model: images must have shape \(N, 4, 6, 3\); got \(3, 4, 6\)\.$"),
        (
            np.zeros((3, 4, 4, 3)),
            ValueError,
            r"\(N, 4, 6, 3\); got \(3, 4, 4, 3\). Resize them, or build the model for",
        ),
        (np.zeros((3, 4, 6, 1)), ValueError, r"\(N, 4, 6, 3\); got \(3, 4, 6, 1\). Resize them"),
        (np.zeros((0, *SHAPE)), ValueError, r"images must not be empty; got shape \(0, 4, 6, 3\)"),
        (np.zeros((3, *SHAPE), "int32"), TypeError, r"must be uint8, or float in \[0, 1\] or \[-1, 1\]; got int32"),
        (np.zeros((3, *SHAPE), "bool"), TypeError, "got bool"),
        (np.zeros((3, *SHAPE), "complex64"), TypeError, "got complex64"),
        (np.full((3, *SHAPE), "cat"), TypeError, "images must be uint8, or float"),
        (uniform(0, 255), ValueError, r"got float32 with values from 0 to 255. Divide by 255, or convert to uint8\."),
        (uniform(-3, 2), ValueError, r"got float32 with values from -3 to 2. Rescale them"),
        (np.full((3, *SHAPE), np.nan), ValueError, "images must be finite; some values are NaN or infinite"),
        (np.full((3, *SHAPE), np.inf), ValueError, "images must be finite"),
    ],
)
def test_what_came_what_was_expected_what_to_do(images, error, message):
    with pytest.raises(error, match=message) as caught:
        pixels.image_range("Model", images, SHAPE)
    assert "\n" not in str(caught.value)


def test_one_bad_pixel_is_enough():
    images = uniform(0, 1, 300)
    images[270, 2, 3, 1] = np.nan
    with pytest.raises(ValueError, match="finite"):
        pixels.image_range("Model", images, SHAPE)


def test_a_spec_may_leave_sizes_open():
    pixels.check_spec("Model", keras.KerasTensor((None, None, 6, 3), "float32"), SHAPE)
    with pytest.raises(ValueError, match=r"got \(None, None, 5, 3\)"):
        pixels.check_spec("Model", keras.KerasTensor((None, None, 5, 3), "float32"), SHAPE)


# === To the networks and back ===
@pytest.mark.backends
def test_all_ranges_mean_the_same_images():
    images = tiny.pictures()
    as_floats = images.astype("float32") / 255
    expected = np.float64(images) / 127.5 - 1
    for given, of_range in ((images, (0, 255)), (as_floats, (0, 1)), (as_floats * 2 - 1, (-1, 1))):
        tensor = pixels.to_network(ops.convert_to_tensor(given), of_range)
        assert keras.backend.standardize_dtype(tensor.dtype) == "float32"
        np.testing.assert_allclose(ops.convert_to_numpy(tensor), expected, atol=1e-6)


@pytest.mark.backends
def test_uint8_comes_back():
    levels = np.arange(256, dtype="uint8").reshape(1, 16, 16, 1)
    tensor = pixels.to_uint8(pixels.to_network(ops.convert_to_tensor(levels), (0, 255)))
    assert keras.backend.standardize_dtype(tensor.dtype) == "uint8"
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor), levels)


@pytest.mark.backends
def test_what_is_out_of_range_is_clipped():
    tensor = ops.convert_to_tensor(np.array([[-7.0, -1.001, 0.0, 1.001, 7.0]], "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(pixels.to_uint8(tensor)), [[0, 0, 128, 255, 255]])


# === Long arrays for graphs ===
@pytest.mark.backends
def test_graphs_are_given_uint8_or_minus_1_to_1():
    images = tiny.pictures()
    as_floats = images.astype("float32") / 255
    expected = np.float64(images) / 127.5 - 1
    for given, of_range, dtype in (
        (images, (0, 255), "uint8"),
        (as_floats, (0, 1), "float32"),
        (as_floats.astype("float64"), (0, 1), "float32"),
        (as_floats * 2 - 1, (-1, 1), "float32"),
    ):
        taken = pixels.NetworkImages(given, of_range)
        part = taken[2:5]
        assert len(taken) == len(images) and isinstance(part, np.ndarray) and part.dtype == dtype
        inside = ops.convert_to_numpy(pixels.in_network_range(ops.convert_to_tensor(part)))
        np.testing.assert_allclose(inside, expected[2:5], atol=1e-6)
    np.testing.assert_array_equal(pixels.NetworkImages(images, (0, 255))[:], images)
