import keras
import numpy as np
import pytest

from kgen.networks import TextProjection
from tests.checks.layers import check_saved_model_equal

pytestmark = pytest.mark.backends


def features(length=5):
    random = np.random.default_rng(0)
    mask = np.arange(length) < np.array([[3], [2]])
    return {
        "pooled": random.normal(size=(2, 6)).astype("float32"),
        "tokens": random.normal(size=(2, length, 4)).astype("float32"),
        "mask": mask,
    }


def output(network, inputs):
    return keras.ops.convert_to_numpy(network(inputs))


def test_reads_pooled_features_and_real_tokens_and_no_others(tmp_path):
    network = TextProjection(6, 4, 7, width=8, num_heads=2, readers=2, blocks=1)
    given = features()
    before = output(network, given)
    assert before.shape == (2, 7) and before.dtype == np.float32
    for name, place, changed in (("pooled", (0, 0), True), ("tokens", (0, 2), True), ("tokens", (0, 3), False)):
        other = {key: value.copy() for key, value in given.items()}
        other[name][place] += 1.0
        after = output(network, other)
        assert (np.abs(after[0] - before[0]).max() > 1e-4) == changed, (name, place)
        np.testing.assert_allclose(after[1], before[1], atol=1e-6)
    longer = {
        key: np.pad(given[key], [(0, 0), (0, 3)] + [(0, 0)] * (given[key].ndim - 2)) for key in ("tokens", "mask")
    }
    np.testing.assert_allclose(output(network, {**given, **longer}), before, atol=1e-5)
    check_saved_model_equal(network, given, tmp_path / "network.keras")


def test_without_blocks_it_is_dense():
    network = TextProjection(6, 4, 7, width=8, blocks=0)
    given = features()
    np.testing.assert_array_equal(output(network, given), output(network, {**given, "tokens": 0 * given["tokens"]}))


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [({"readers": 0}, "readers must be an integer of at least 1; got 0"), ({"width": 6}, "width=6 cannot be split")],
)
def test_refuses(kwargs, said):
    with pytest.raises(ValueError, match=f"TextProjection: {said}"):
        TextProjection(6, 4, 7, **kwargs)
