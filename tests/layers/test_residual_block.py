import keras
import numpy as np
import pytest

from kgen.layers import ResidualBlock2D
from tests.checks.layers import check_layer


@pytest.mark.backends
@pytest.mark.parametrize("normalization, spectral_normalization", [("rms", False), ("group", False), (None, True)])
def test_layer(normalization, spectral_normalization):
    check_layer(
        ResidualBlock2D,
        {
            "filters": 16,
            "activation": "silu",
            "normalization": normalization,
            "spectral_normalization": spectral_normalization,
        },
        {"x": (3, 4, 6, 8), "condition": (3, 5)},
        (3, 4, 6, 16),
    )


@pytest.mark.backends
def test_skip_carries_what_the_convolutions_leave():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 8)).astype("float32")
    block = ResidualBlock2D(8)
    assert np.abs(keras.ops.convert_to_numpy(block(x)) - x).max() > 0.01
    assert block.skip is None
    block.convolution_2.kernel.assign(np.zeros(block.convolution_2.kernel.shape))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(block(x)), x)


@pytest.mark.backends
def test_condition_changes_the_result_once_learned():
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 8)).astype("float32")
    block = ResidualBlock2D(8)
    ones = np.ones((1, 3), "float32")
    start = keras.ops.convert_to_numpy(block(x, ones))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(block(x, -ones)), start)
    kernel = block.modulation_2.projection.kernel
    kernel.assign(0.1 * np.random.default_rng(1).normal(size=kernel.shape))
    assert np.abs(keras.ops.convert_to_numpy(block(x, -ones) - block(x, ones))).max() > 0.01


def test_spectral_normalization_reaches_every_convolution():
    block = ResidualBlock2D(16, spectral_normalization=True)
    block.build((None, 4, 4, 8))
    assert sum(weight.name == "u" for weight in block.non_trainable_weights) == 3
