import keras
import numpy as np
import pytest
from keras import ops

from kgen.losses import Mixup


@pytest.mark.backends
def test_images_are_real_by_their_share():
    real, fake = ops.ones((2000, 2, 2, 1)), -ops.ones((2000, 2, 2, 1))
    images, share = Mixup(0.5).mixed(real, fake, keras.random.SeedGenerator(0))
    images, share = ops.convert_to_numpy(images), ops.convert_to_numpy(share)
    np.testing.assert_allclose(images, np.broadcast_to(2 * share[:, None, None, None] - 1, images.shape), atol=1e-6)
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1)).
    assert abs(share.mean() - 0.5) < 0.03 and abs(share.var() - 1 / 8) < 0.01
    assert share.min() >= 0.0 and share.max() <= 1.0


def test_config_and_arguments():
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(Mixup(0.3)))
    assert type(again) is Mixup and again.alpha == 0.3
    with pytest.raises(ValueError, match="Mixup: alpha must be positive; got 0"):
        Mixup(0)
