import numpy as np
import pytest
from keras import ops

from kgen.layers import FeatureMemory
from tests.checks.layers import check_layer

KNOWN = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def remembered(x, sharpness):
    memory = FeatureMemory(5, sharpness)
    memory.build((None, 4))
    memory.known.assign(KNOWN)
    return ops.convert_to_numpy(memory(ops.convert_to_tensor(np.asarray(x, "float32"))))


@pytest.mark.backends
def test_layer():
    check_layer(FeatureMemory, {"size": 5, "sharpness": 3.0}, {"inputs": (3, 4)}, (3, 4))


@pytest.mark.backends
def test_by_hand():
    x = np.random.default_rng(1).normal(size=(3, 4))
    cosines = x @ KNOWN.T / np.linalg.norm(x, axis=1)[:, None] / np.linalg.norm(KNOWN, axis=1)
    weights = np.exp(7.0 * cosines)
    np.testing.assert_allclose(remembered(x, 7.0), weights / weights.sum(axis=1, keepdims=True) @ KNOWN, rtol=1e-4)


def test_what_it_ends_in():
    np.testing.assert_allclose(remembered(KNOWN[2:3] + 0.05, 1000.0), KNOWN[2:3], atol=1e-3)
    np.testing.assert_allclose(remembered(KNOWN[:1], 0.0), KNOWN.mean(axis=0, keepdims=True), atol=1e-6)
    # Without a direction all are alike.
    np.testing.assert_allclose(remembered(np.zeros((1, 4)), 40.0), KNOWN.mean(axis=0, keepdims=True), atol=1e-6)


@pytest.mark.backends
def test_guidance_goes_away_from_other_vectors():
    x, n = np.random.default_rng(1).normal(size=(2, 3, 4))
    memory = FeatureMemory(5, 7.0)
    memory.build((None, 4))
    memory.known.assign(KNOWN)
    near, far = (v @ KNOWN.T / np.linalg.norm(v, axis=1)[:, None] / np.linalg.norm(KNOWN, axis=1) for v in (x, n))
    for unlike, logits in ((n, 2.5 * near - 1.5 * far), (None, 2.5 * near)):
        weights = np.exp(7.0 * logits)
        found = ops.convert_to_numpy(memory(x, unlike, guidance=2.5))
        np.testing.assert_allclose(found, weights / weights.sum(axis=1, keepdims=True) @ KNOWN, rtol=1e-4, atol=1e-6)


def test_one_that_stands_for_others():
    memory = FeatureMemory(5, 1000.0, stands_for=[0, 3, 2, 3, 3])
    memory.build((None, 4))
    memory.known.assign(KNOWN)
    np.testing.assert_allclose(ops.convert_to_numpy(memory(KNOWN)), KNOWN[[0, 3, 2, 3, 3]], atol=1e-4)


def test_names_are_kept():
    memory = FeatureMemory(2, names=["a cat", "a dog"], stands_for=[1, 1])
    again = FeatureMemory.from_config(memory.get_config())
    assert again.names == ["a cat", "a dog"] and again.stands_for == [1, 1]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"size": 0}, "size must be an integer of at least 1; got 0"),
        ({"size": 2.5}, "size must be an integer of at least 1; got 2.5"),
        ({"size": 2, "names": ["a cat"]}, "names must have one item for each of the 2 vectors; got 1"),
        ({"size": 1, "stands_for": [0, 0]}, "stands_for must have one item for each of the 1 vectors; got 2"),
        ({"size": 1, "sharpness": -1.0}, "sharpness must be a number of at least 0; got -1.0"),
    ],
)
def test_what_is_wrong_says_so(arguments, message):
    with pytest.raises(ValueError, match=message):
        FeatureMemory(**arguments)
