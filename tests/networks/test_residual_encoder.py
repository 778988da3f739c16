import keras
import numpy as np
import pytest

from kgen.networks import residual_encoder


@pytest.mark.backends
def test_features():
    encoder = residual_encoder((28, 28, 1), filters=4, feature_dim=6)
    outputs = encoder(np.random.default_rng(0).uniform(-1, 1, (3, 28, 28, 1)).astype("float32"))
    assert outputs.shape == (3, 6) and keras.ops.convert_to_numpy(outputs).min() == 0.0
    assert encoder.get_layer("features").output.shape == (None, 6)


def test_stages():
    encoder = residual_encoder((32, 64, 3), filters=4, blocks=(0, 1, 2), patch=2)
    names = [layer.name for layer in encoder.layers if layer.name.endswith("_sum")]
    assert names == ["block_8_1_sum", "block_4_1_sum", "block_4_2_sum"]
    assert encoder.get_layer("stem_relu").output.shape == (None, 16, 32, 4)
    assert encoder.get_layer("block_4_2_sum").output.shape == (None, 4, 8, 16)
    kernels = [w for w in encoder.trainable_weights if w.path.endswith("convolution/bias")]
    assert kernels == []
    assert residual_encoder((64, 64, 1), filters=2).get_layer("block_4_1_sum").output.shape[-1] == 8


def test_shapes_that_cannot_be():
    with pytest.raises(ValueError, match="residual_encoder: 30x30 pixels cannot be reached"):
        residual_encoder((30, 30, 1))
    with pytest.raises(ValueError, match="residual_encoder: blocks must be one number, or 2"):
        residual_encoder((28, 28, 1), blocks=(1, 1, 1))


def test_it_learns_and_keeps_what_it_is(tmp_path):
    encoder = residual_encoder((16, 16, 1), filters=4)
    encoder.save(tmp_path / "encoder.keras")
    again = keras.saving.load_model(tmp_path / "encoder.keras")
    images = np.random.default_rng(0).uniform(-1, 1, (2, 16, 16, 1)).astype("float32")
    np.testing.assert_array_equal(*(keras.ops.convert_to_numpy(each(images)) for each in (encoder, again)))
