import numpy as np
import pytest
from keras import ops

from kgen.models.network_inputs import condition_names, feed, outputs_of, parted
from tests.models import tiny


@pytest.fixture(scope="module")
def plain():
    return tiny.encoder(1)


@pytest.fixture(scope="module")
def conditional():
    return tiny.encoder(1, tiny.CLASSES)


def images(count=4):
    return ops.convert_to_tensor(np.random.default_rng(0).uniform(-1, 1, (count, *tiny.SHAPE)).astype("float32"))


@pytest.mark.backends
def test_a_network_is_fed_what_it_takes(plain, conditional):
    x, condition = images(), {"pooled": ops.one_hot([0, 1, 2, 0], tiny.CLASSES), "tokens": ops.zeros((4, 2, 5))}
    np.testing.assert_array_equal(
        ops.convert_to_numpy(feed(plain, "images", x, condition, False)), ops.convert_to_numpy(plain(x))
    )
    together = ops.convert_to_numpy(conditional({"images": x, "pooled": condition["pooled"]}))
    np.testing.assert_array_equal(ops.convert_to_numpy(feed(conditional, "images", x, condition, False)), together)
    assert condition_names(plain, condition) == set() and condition_names(conditional, condition) == {"pooled"}


def test_a_network_that_wants_more_than_there_is(conditional):
    with pytest.raises(ValueError, match=r"nothing is known of \['pooled'\]. They may be 'images' and .*: \['mask'\]"):
        feed(conditional, "images", images(), {"mask": ops.ones((4, 2))}, False)


def test_parted():
    batch = {"images": 1, "pooled": 2, "mask": 3}
    assert parted(batch) == (1, {"pooled": 2, "mask": 3})


def test_outputs_by_name(plain):
    assert set(outputs_of(plain)) == {"logits"}
    assert {name: x.shape[1] for name, x in outputs_of(tiny.classifying_discriminator()).items()} == {
        "logits": 1,
        "labels": tiny.CLASSES,
    }
