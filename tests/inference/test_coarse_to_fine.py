import numpy as np
import pytest
from keras import ops

from kgen.inference.coarse_to_fine import filled_from_coarse_to_fine

SIZE = (37, 50)


def with_hole(rows=slice(6, 30), columns=slice(9, 41)):
    """Two images of different evenly coloured halves, and a hole, which is black."""
    images = np.zeros((2, *SIZE, 3), "uint8")
    images[0] = (200, 100, 50)
    images[1, :, :25], images[1, :, 25:] = 40, 220
    masks = np.zeros((2, *SIZE, 1), "uint8")
    masks[:, rows, columns] = 255
    return images, np.where(masks > 0, 0, images).astype("uint8"), masks


def recorded(calls):
    """A fill that reaches nowhere: it makes what is missing green, and says of what it was asked."""

    def fill(images, masks):
        images, masks = ops.convert_to_numpy(images), ops.convert_to_numpy(masks)
        assert images.dtype == "uint8" and images.shape[:3] == masks.shape[:3]
        calls.append((images, masks))
        return np.where(masks > 0, np.array([0, 255, 0]), images).astype("uint8")

    return fill


def test_what_is_out_of_reach_comes_from_smaller_images():
    clean, images, masks = with_hole()
    calls = []
    filled = filled_from_coarse_to_fine(recorded(calls), images, masks, reach=2)
    sizes = [call[0].shape[1:3] for call in calls]
    assert sizes == [(5, 7), (10, 13), (19, 25), SIZE]
    np.testing.assert_array_equal(filled[masks[..., 0] == 0], clean[masks[..., 0] == 0])
    # Known pixels of smaller images are means of known pixels only: no black.
    for seen, missing in calls:
        known = seen[0][missing[0, ..., 0] == 0]
        assert np.abs(known[:, 2].astype(int) - 50).max() <= 50 and known[:, 0].max() <= 200
    # The last time only a frame of two pixels is left to fill, within and around which all is known.
    frame = calls[-1][1][0, ..., 0] > 0
    wanted = masks[0, ..., 0] > 0
    wanted[8:28, 11:39] = False
    np.testing.assert_array_equal(frame, wanted)


@pytest.mark.backends
def test_narrow_holes_are_filled_at_once():
    _, images, masks = with_hole(slice(3, 8), slice(10, 40))
    calls = []
    filled_from_coarse_to_fine(recorded(calls), images, masks, reach=3)
    assert len(calls) == 1
    np.testing.assert_array_equal(calls[0][0], images)
    np.testing.assert_array_equal(calls[0][1] > 0, masks > 0)


def test_a_given_number_of_levels_changes_nothing_once_there_are_enough():
    _, images, masks = with_hole()
    calls = []
    wanted = filled_from_coarse_to_fine(recorded(calls), images, masks, reach=2)
    fill = recorded(calls)
    found = filled_from_coarse_to_fine(fill, images, masks, reach=2, levels=5)
    np.testing.assert_array_equal(found, wanted)
    # Nothing is known of one image: it ends.
    masks[0] = 1
    assert filled_from_coarse_to_fine(fill, images, masks, reach=4).shape == images.shape


@pytest.mark.backends
def test_larger_images():
    _, images, masks = with_hole()

    def fill(images, masks):
        filled = np.where(ops.convert_to_numpy(masks) > 0, 100, ops.convert_to_numpy(images))
        return filled.repeat(2, axis=1).repeat(2, axis=2).astype("uint8")

    filled = filled_from_coarse_to_fine(fill, images, masks, reach=2, scale=2)
    assert filled.shape == (2, 74, 100, 3)
    # At the border of the hole the smaller images have what is known next to it.
    assert np.abs(filled[0, 40, 50].astype(int) - 100).max() <= 1
