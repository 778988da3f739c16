import keras
import numpy as np
import pytest
from keras import ops

from kgen.networks import patch_discriminator
from tests.checks.layers import check_saved_model_equal

IMAGES = np.random.default_rng(0).uniform(-1, 1, (2, 32, 48, 3)).astype("float32")


@pytest.mark.backends
def test_a_logit_depends_on_its_patch_alone(tmp_path):
    network = patch_discriminator(filters=4, stages=2)
    logits = ops.convert_to_numpy(network(IMAGES))
    assert logits.shape == (2, 8, 12, 1) and logits.dtype == "float32"
    changed = IMAGES.copy()
    changed[:, :4, :4] = 0.0
    difference = np.abs(ops.convert_to_numpy(network(changed)) - logits).max(axis=(0, 3))
    assert difference[0, 0] > 0 and difference[6:, 6:].max() == 0
    check_saved_model_equal(network, IMAGES, tmp_path / "network.keras")


def test_numbers():
    with pytest.raises(ValueError, match="patch_discriminator: stages must be an integer of at least 1; got 0"):
        patch_discriminator(stages=0)
    assert keras.ops.shape(patch_discriminator(1, 2, 1)(IMAGES[..., :1])) == (2, 16, 24, 1)
