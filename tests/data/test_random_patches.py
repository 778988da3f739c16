import numpy as np
import pytest

from kgen.data import random_patches


def gradient(height, width, channel):
    """Values that say where a pixel lies, and in which image."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.full_like(y, channel)], axis=-1).astype("uint8")


def test_patches_are_squares_of_the_images():
    patches = random_patches([gradient(20, 30, 1), gradient(12, 10, 2)], 8, 200, seed=0, flips=False)
    assert patches.shape == (200, 8, 8, 3) and patches.dtype == "uint8"
    for patch in patches:
        np.testing.assert_array_equal(patch[..., 0] - patch[0, 0, 0], np.mgrid[:8, :8][0])
        np.testing.assert_array_equal(patch[..., 1] - patch[0, 0, 1], np.mgrid[:8, :8][1])
    corners = patches[:, 0, 0]
    assert corners[corners[:, 2] == 1, :2].max(axis=0).tolist() == [12, 22]
    # 13 * 23 places of one, 5 * 3 of the other.
    np.testing.assert_allclose(np.mean(corners[:, 2] == 2), 15 / 314, atol=0.04)


def test_flips_and_turns_are_all_there_and_a_seed_repeats_them():
    images = [gradient(8, 8, 0)]
    patches = random_patches(images, 8, 100, seed=1)
    assert len({patch.tobytes() for patch in patches}) == 8
    np.testing.assert_array_equal(patches, random_patches(images, 8, 100, seed=1))
    assert np.any(patches != random_patches(images, 8, 100, seed=2))


def test_what_is_wrong():
    with pytest.raises(ValueError, match="random_patches: images must be at least 16 x 16; got .8, 8, 3."):
        random_patches([gradient(20, 20, 0), gradient(8, 8, 0)], 16, 1)
    with pytest.raises(ValueError, match="images must be one or more arrays .height, width, channels."):
        random_patches([], 16, 1)
    with pytest.raises(ValueError, match="with the same channels and dtype"):
        random_patches([gradient(8, 8, 0), gradient(8, 8, 0)[..., :1]], 4, 1)
