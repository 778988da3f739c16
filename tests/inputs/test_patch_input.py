import keras
import numpy as np
import pytest

from kgen.inputs import PatchInput


def patch_input():
    return PatchInput("Model", (None, None, 3), keras.Variable(0.0), divisor=4)


@pytest.mark.backends
def test_patches_of_sides_that_the_divisor_divides():
    batch = patch_input().batch(np.full((2, 8, 12, 3), 255, "uint8"))
    assert set(batch) == {"images"}
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(batch["images"]), np.ones((2, 8, 12, 3)))
    with pytest.raises(
        ValueError, match="Model: the sides of training patches must be known and divisible by 4; got 8 x 10"
    ):
        patch_input().batch(np.zeros((2, 8, 10, 3), "uint8"))


def test_clean_images_alone():
    images = np.zeros((2, 8, 8, 3), "uint8")
    assert patch_input().check(images) == (0, 255)
    with pytest.raises(ValueError, match="Model: training takes clean images only"):
        patch_input().check(images, np.zeros(2))
