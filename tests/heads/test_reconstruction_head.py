import keras
import numpy as np
import pytest
from keras import layers, ops

from kgen.heads import ReconstructionHead
from kgen.losses import DiscretizedLogistic
from tests.models import tiny


@pytest.mark.backends
def test_reconstruction():
    decoder = tiny.decoder()
    head = ReconstructionHead(decoder)
    images, vector = keras.Input(tiny.SHAPE), keras.Input((6,))
    outputs = keras.Model([images, vector], head.attach(images, {"vector": vector}, "copy"))
    assert outputs.output.shape == (None, *tiny.SHAPE) and head.decoder is not decoder
    pixels = np.zeros((2, *tiny.SHAPE), "float32")
    # Gaussian(0.5) of pixels that are right.
    expected = pixels[0].size * np.log(0.5 * np.sqrt(2 * np.pi))
    values = ops.convert_to_numpy(head.loss(pixels, ops.convert_to_tensor(pixels))["loss"])
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    assert ops.convert_to_numpy(head.answer(ops.convert_to_tensor(pixels + 1.0))).min() == 255


def test_reconstruction_that_cannot_be():
    with pytest.raises(TypeError, match="ReconstructionHead: decoder must be a keras.Model; got Dense"):
        ReconstructionHead(layers.Dense(3))
    with pytest.raises(ValueError, match=r"turn latents \(batch, n\) into images; .* turns \(None, 8, 8, 3\)"):
        ReconstructionHead(tiny.encoder(4))
    images, vector = keras.Input(tiny.SHAPE), keras.Input((6,))
    with pytest.raises(ValueError, match=r"DiscretizedLogistic needs \(8, 8, 6\) for images of \(8, 8, 3\)"):
        ReconstructionHead(tiny.decoder(), "discretized_logistic").attach(images, {"vector": vector}, "copy")


def test_config_of_reconstruction():
    head = ReconstructionHead(tiny.network("latents", (4,), (8, 8, 6)), DiscretizedLogistic(-5.0))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert again.reconstruction.min_log_scale == -5.0 and again.decoder.output_shape == (None, 8, 8, 6)
