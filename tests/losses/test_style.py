import numpy as np
import pytest
from keras import ops

from kgen.losses import content_loss, gram_loss, gram_matrix, style_loss
from tests.losses.slopes import slope

pytestmark = pytest.mark.backends


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def test_content_by_hand():
    a, b = features(3, 4, 5, 2), features(3, 4, 5, 2, seed=1)
    values = ops.convert_to_numpy(content_loss(a, b))
    np.testing.assert_allclose(values, ((a - b) ** 2).mean(axis=(1, 2, 3)), rtol=1e-5)
    assert values.dtype == np.float32


def test_style_is_the_error_of_means_and_that_of_deviations():
    a, b = features(3, 8), features(3, 8, seed=1)
    squares = (a - b) ** 2
    expected = squares[:, :4].mean(axis=1) + squares[:, 4:].mean(axis=1)
    np.testing.assert_allclose(ops.convert_to_numpy(style_loss(a, b)), expected, rtol=1e-5)


def test_gram_matrices_by_hand_whatever_the_size():
    a, b = features(2, 4, 6, 3), features(2, 5, 2, 3, seed=1)
    grams = [np.einsum("nhwc,nhwd->ncd", x, x) / (x.shape[1] * x.shape[2]) for x in (a, b)]
    np.testing.assert_allclose(ops.convert_to_numpy(gram_matrix(a)), grams[0], rtol=1e-4, atol=1e-5)
    expected = ((grams[0] - grams[1]) ** 2).sum(axis=(1, 2)) / (4 * 3**2)
    np.testing.assert_allclose(ops.convert_to_numpy(gram_loss(a, b)), expected, rtol=1e-4)


def test_places_do_not_matter_to_style():
    a = features(2, 4, 6, 3)
    moved = a[:, ::-1, ::-1]
    assert np.abs(ops.convert_to_numpy(gram_loss(a, moved))).max() < 1e-10
    assert ops.convert_to_numpy(content_loss(a, moved)).min() > 0.1


@pytest.mark.parametrize("loss", [content_loss, gram_loss])
def test_pulls_towards_the_target(loss):
    target = features(1, 4, 4, 2)
    values, gradient = slope(lambda x: loss(target, x), 1.5 * target)
    # Along the way from 1.5 times the target to the target itself.
    assert values[0] > 0.01 and (gradient * target).sum() > 0.01
