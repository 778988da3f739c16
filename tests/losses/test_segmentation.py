import numpy as np
import pytest
from keras import ops

from kgen.losses import dice, pixel_cross_entropy
from tests.losses.slopes import slope

pytestmark = pytest.mark.backends

CLASSES = np.int32([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])


def logits_of(probability):
    """Two classes, the right one with this probability everywhere."""
    right = np.eye(2, dtype="float32")[CLASSES]
    return np.log(np.where(right == 1, probability, 1 - probability)).astype("float32")


def test_cross_entropy_is_the_mean_over_pixels():
    values = ops.convert_to_numpy(pixel_cross_entropy(CLASSES, logits_of(0.25)))
    np.testing.assert_allclose(values, [np.log(4.0)] * 2, rtol=1e-6)
    assert values.dtype == np.float32
    one_wrong = logits_of(0.5)
    one_wrong[0, 0, 0] = np.log([0.1, 0.9])
    values = ops.convert_to_numpy(pixel_cross_entropy(CLASSES, one_wrong))
    np.testing.assert_allclose(values, [(np.log(10) + 3 * np.log(2)) / 4, np.log(2)], rtol=1e-6)


def test_dice_by_hand():
    p = 0.75
    # First image: class 0 has one pixel, class 1 three. Of class 0, P sums to p + 3 (1 - p).
    zero = (2 * p + 1) / (p + 3 * (1 - p) + 1 + 1)
    one = (2 * 3 * p + 1) / (3 * p + (1 - p) + 3 + 1)
    # Second: class 1 is not there at all, and seen a little.
    there, absent = (2 * 4 * p + 1) / (4 * p + 4 + 1), 1 / (4 * (1 - p) + 1)
    values = ops.convert_to_numpy(dice(CLASSES, logits_of(p)))
    np.testing.assert_allclose(values, [1 - (zero + one) / 2, 1 - (there + absent) / 2], rtol=1e-5)


def test_dice_of_a_perfect_answer_is_0_and_pulls_towards_it():
    np.testing.assert_allclose(ops.convert_to_numpy(dice(CLASSES, 200.0 * logits_of(0.9))), 0.0, atol=1e-6)
    _, gradient = slope(lambda logits: dice(CLASSES, logits), logits_of(0.5))
    # Each right logit is to grow.
    right = np.eye(2)[CLASSES] == 1
    assert (gradient[right] < 0).all() and (gradient[~right] > 0).all()
