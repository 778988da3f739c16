import io

import numpy as np
import pytest
from PIL import Image

from kgen.visualization import image_grid, show_images


def random_images(count, height=16, width=16, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), "uint8")


def shown(figure):
    """Pixels that a notebook shows."""
    with Image.open(io.BytesIO(figure._repr_png_())) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("count", "columns", "captions", "scale"),
    [
        (4, None, None, 16),  # at most 256 pixels wide
        (12, 6, None, 6),  # 640 pixels for six
        (12, 6, ["caption"] * 12, 8),  # and at least 128 for a caption
        (3, 8, None, 13),
    ],
)
def test_the_grid_pixel_by_pixel(count, columns, captions, scale):
    images = random_images(count)
    expected = np.asarray(image_grid(images, captions, columns, scale=scale))
    np.testing.assert_array_equal(shown(show_images(images, captions, columns)), expected)


def test_large_images_are_not_enlarged():
    images = random_images(4, 400, 700)
    np.testing.assert_array_equal(shown(show_images(images)), np.asarray(image_grid(images)))


def test_one_image():
    image = random_images(1, channels=1)
    expected = np.asarray(image_grid(image, ["a cat"], scale=16))
    np.testing.assert_array_equal(shown(show_images(image[0], "a cat")), expected)
    np.testing.assert_array_equal(shown(show_images(image[0], ["a cat"])), expected)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"images": np.zeros((2, 4, 4, 3))}, TypeError, "images must be a uint8 array .*; got float64"),
        ({"images": [[1]]}, TypeError, "got list"),
        ({"images": np.zeros((4, 4), "uint8")}, ValueError, r"images must have shape .*; got \(4, 4\)"),
        ({"captions": ["one"]}, ValueError, r"give a caption for each of the 2 images; got \['one'\]"),
        ({"captions": "ab"}, ValueError, "give a caption for each of the 2 images; got 'ab'"),
        ({"columns": 0}, ValueError, "columns must be an integer of at least 1; got 0"),
    ],
)
def test_bad_input(given, error, said):
    with pytest.raises(error, match=f"show_images: .*{said}"):
        show_images(**{"images": random_images(2), **given})
