import numpy as np
import pytest
from keras import ops

from kgen.layers.image_filter import ImageFilter


def test_results_are_clipped_and_a_filter_says_what_it_does():
    class Double(ImageFilter):
        def apply(self, images):
            return 2.0 * images - 0.5

    images = np.float32([[[[0.1], [0.5], [0.9]]]])
    np.testing.assert_allclose(ops.convert_to_numpy(Double()(images)).ravel(), [0.0, 0.5, 1.0])
    with pytest.raises(NotImplementedError, match="ImageFilter must define apply"):
        ImageFilter()(images)
