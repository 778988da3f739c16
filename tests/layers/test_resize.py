import keras
import numpy as np
import pytest
from PIL import Image

from kgen.layers.resize import resize

SIZES = [((64, 64), (224, 224)), ((300, 451), (224, 224)), ((7, 5), (13, 9)), ((50, 33), (20, 64))]


def noise_image(shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype("float32")


def resized(image, size, interpolation="bicubic"):
    return keras.ops.convert_to_numpy(resize(keras.ops.convert_to_tensor(image[None]), size, interpolation))[0]


@pytest.mark.backends
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear", "lanczos"])
@pytest.mark.parametrize("before, after", SIZES)
def test_equals_pillow(before, after, interpolation):
    image = noise_image(before)
    pillow = getattr(Image.Resampling, interpolation.upper())
    wanted = [np.asarray(Image.fromarray(image[..., c]).resize(after[::-1], pillow)) for c in range(3)]
    np.testing.assert_allclose(resized(image, after, interpolation), np.stack(wanted, axis=-1), atol=5e-3)


@pytest.mark.parametrize("before", [(64, 64), (400, 310)])
def test_equals_clean_fid(before):
    clean_fid = pytest.importorskip("cleanfid.resize")
    image = noise_image(before)
    wanted = clean_fid.build_resizer("clean")(image.astype("uint8"))
    np.testing.assert_allclose(resized(image, (299, 299)).clip(0, 255), wanted, atol=5e-3)


@pytest.mark.backends
def test_overshoots_are_left_and_constants_kept():
    edge = np.zeros((8, 8, 1), "float32")
    edge[:, 4:] = 255.0
    wide = resized(edge, (32, 32))
    assert wide.max() > 260 and wide.min() < -5
    np.testing.assert_allclose(resized(np.full((8, 9, 2), 77.0, "float32"), (32, 5)), 77.0, atol=1e-3)


def test_same_size_is_the_same_image():
    image = keras.ops.ones((1, 8, 6, 3))
    assert resize(image, (8, 6)) is image


def test_xla_compiles_it(tensorflow_backend):
    import tensorflow as tf

    image = noise_image((16, 12))
    compiled = tf.function(lambda x: resize(x, (20, 10)), jit_compile=True)
    np.testing.assert_allclose(compiled(tf.constant(image[None]))[0], resized(image, (20, 10)), atol=1e-3)
