import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from kgen.layers import Upscale
from kgen.layers.resize import enlarge, resize
from tests.checks.layers import check_layer

IMAGES = np.random.default_rng(0).uniform(size=(2, 6, 8, 3)).astype("float32")


@pytest.mark.backends
def test_layer():
    check_layer(Upscale, {"factor": 1.5, "interpolation": "bicubic"}, {"images": IMAGES}, (2, 9, 12, 3))


@pytest.mark.backends
@pytest.mark.parametrize("interpolation", ["lanczos", "bicubic"])
def test_equals_pillow_between_0_and_1(interpolation):
    pillow = getattr(Image.Resampling, interpolation.upper())
    channels = [np.asarray(Image.fromarray(IMAGES[0, ..., c]).resize((16, 12), pillow)) for c in range(3)]
    wanted = np.stack(channels, axis=-1)
    found = ops.convert_to_numpy(Upscale(2, interpolation)(IMAGES))[0]
    assert wanted.max() > 1.01
    np.testing.assert_allclose(found, np.clip(wanted, 0, 1), atol=1e-5)


@pytest.mark.backends
@pytest.mark.parametrize("interpolation", ["lanczos", "bicubic", "bilinear"])
@pytest.mark.parametrize("factor", [2, 3])
def test_the_same_where_sides_are_not_known_beforehand(factor, interpolation):
    wanted = ops.convert_to_numpy(resize(IMAGES, (6 * factor, 8 * factor), interpolation))
    np.testing.assert_allclose(ops.convert_to_numpy(enlarge(IMAGES, factor, interpolation)), wanted, atol=1e-5)


def test_in_a_network_of_any_size(tensorflow_backend):
    import tensorflow as tf

    images = keras.Input((None, None, 3))
    network = keras.Model(images, Upscale(2)(images))
    assert network.output_shape == (None, None, None, 3)
    graph = tf.function(network, input_signature=[tf.TensorSpec((None, None, None, 3))], autograph=False)
    np.testing.assert_allclose(graph(IMAGES), Upscale(2)(IMAGES), atol=1e-5)
    with pytest.raises(ValueError, match="Upscale: factor must be an integer .* unknown; got 1.5"):
        Upscale(1.5)(images)


@pytest.mark.parametrize(("arguments", "said"), [((1,), "factor .* got 1"), ((2, "area"), "interpolation .* 'area'")])
def test_arguments(arguments, said):
    with pytest.raises(ValueError, match=f"Upscale: {said}"):
        Upscale(*arguments)


@pytest.mark.parametrize("shape", [(1, 0, 8, 3), (1, 8, 0, 3)])
def test_images_without_pixels(shape):
    with pytest.raises(ValueError, match="resize: height and width must be at least 1 pixel; got [08] x [08] to"):
        Upscale(2)(np.zeros(shape, "float32"))
