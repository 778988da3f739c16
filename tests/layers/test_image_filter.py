import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import Sharpen
from kgen.layers.image_filter import ImageFilter


def test_results_are_clipped_and_a_filter_says_what_it_does():
    class Double(ImageFilter):
        def apply(self, images):
            return 2.0 * images - 0.5

    images = np.float32([[[[0.1], [0.5], [0.9]]]])
    np.testing.assert_allclose(ops.convert_to_numpy(Double()(images)).ravel(), [0.0, 0.5, 1.0])
    with pytest.raises(NotImplementedError, match="ImageFilter must define apply"):
        ImageFilter()(images)


def test_mixed_precision_does_not_round_images():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        sharpen = Sharpen(0.0)
    finally:
        keras.config.set_dtype_policy(before)
    images = np.linspace(0, 1, 256, dtype="float32").reshape(1, 16, 16, 1)
    np.testing.assert_allclose(ops.convert_to_numpy(sharpen(images)), images, atol=1e-6)
