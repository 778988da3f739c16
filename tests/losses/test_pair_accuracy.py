import numpy as np
import pytest
from keras import ops

from kgen.losses import pair_accuracy

pytestmark = pytest.mark.backends


def accuracy(*arguments):
    return ops.convert_to_numpy(pair_accuracy(*(np.float32(x) for x in arguments)))


def test_counts_pairs_in_order():
    np.testing.assert_array_equal(accuracy([2.0, -3.0, 1.0, 5.0], [1.0, -2.0, 1.0, -5.0]), [1.0, 0.0, 0.5, 1.0])


def test_does_not_depend_on_the_scale_of_logits():
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    np.testing.assert_array_equal(accuracy(100 * first - 7, 100 * second - 7), accuracy(first, second))


def test_mixed_pictures_count_by_their_difference():
    share, logits = np.array([0.9, 0.1, 0.4, 0.4]), np.array([3.0, 1.0, 2.0, 5.0])
    differences = share - np.roll(share, 1)  # 0.5, -0.8, 0.3, 0
    # Of the pairs (0, 3), (1, 0), (2, 1), (3, 2) the first is in the wrong order, the next two in the right one.
    expected = (0.8 + 0.3) / (0.5 + 0.8 + 0.3)
    np.testing.assert_allclose(accuracy(logits, np.roll(logits, 1), differences).mean(), expected, rtol=1e-6)
    for sign, perfect in ((1.0, 1.0), (-1.0, 0.0)):
        np.testing.assert_allclose(
            accuracy(sign * share, np.roll(sign * share, 1), differences).mean(), perfect, atol=1e-6
        )


def test_a_single_mixed_picture_is_no_pair():
    np.testing.assert_array_equal(accuracy([2.0], [2.0], [0.0]), [0.5])
