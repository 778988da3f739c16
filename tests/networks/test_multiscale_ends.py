import keras
import numpy as np
import pytest

from kgen.networks.multiscale_ends import condition_vector, lift, to_image, upsample


def outputs(inputs, output, arrays):
    return keras.ops.convert_to_numpy(keras.Model(inputs, output)(arrays))


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


@pytest.mark.parametrize("names", [("latents",), ("latents", "pooled")])
def test_a_vector_of_all_that_is_known(names):
    inputs = {name: keras.Input((3,), name=name) for name in names}
    given = {name: noise(2, 3) for name in names}
    c = condition_vector(inputs, 5)
    first = outputs(inputs, c, given)
    assert first.shape == (2, 5)
    for name in names:
        assert np.abs(outputs(inputs, c, {**given, name: -given[name]}) - first).max() > 1e-3


def test_from_a_vector_to_pixels():
    c = keras.Input((3,))
    grid = lift(c, (2, 3), 8)
    finer = upsample(grid, 6, "finer")
    image = to_image(finer, 2, "image", patch=4, output="tanh", dtype="mixed_bfloat16")
    assert grid.shape == (None, 2, 3, 8) and finer.shape == (None, 4, 6, 6) and image.shape == (None, 16, 24, 2)
    assert image.dtype == "float32"
    pixels = outputs(c, image, 100 * noise(2, 3))
    assert np.abs(pixels).max() <= 1 and np.abs(pixels[0] - pixels[1]).max() > 1e-3


def test_each_pixel_comes_from_around_its_place():
    features = keras.Input((4, 4, 8))
    image = to_image(upsample(features, 8, "finer"), 1, "image", normalization=None)
    x = noise(1, 4, 4, 8)
    changed = x.copy()
    changed[0, 0, 0] += 1
    change = np.abs(outputs(features, image, changed) - outputs(features, image, x))[0, :, :, 0]
    assert change[:2, :2].max() > 1e-3 and change[3:].max() == 0 and change[:, 3:].max() == 0
