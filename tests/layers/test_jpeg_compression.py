import io

import numpy as np
import pytest
from keras import ops
from PIL import Image

from kgen.layers import JpegCompression


def sample():
    """Smooth colours with an edge, not whole blocks."""
    y, x = np.mgrid[:43, :54] / 54
    channels = [0.5 + 0.4 * np.sin(5 * x + 3 * y), 0.2 + 0.6 * y, np.where(x + y > 0.9, 0.8, 0.3)]
    return np.rint(255 * np.stack(channels, axis=-1)).astype("uint8")


def by_pillow(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if pixels.ndim == 3 else -1)
    return np.asarray(Image.open(file)).astype("float64")


def compressed(pixels, quality):
    pixels = pixels[None].reshape(1, *pixels.shape[:2], -1)
    return 255 * ops.convert_to_numpy(JpegCompression(quality)(pixels / np.float32(255)))[0]


@pytest.mark.backends
@pytest.mark.parametrize("quality", [10, 40, 90])
def test_loses_what_libjpeg_loses(quality):
    pixels = sample()
    wanted, found = by_pillow(pixels, quality), compressed(pixels, quality)
    lost = np.sqrt(np.mean((wanted - pixels) ** 2))
    # libjpeg enlarges colour smoothly, this repeats it.
    np.testing.assert_allclose(np.sqrt(np.mean((found - pixels) ** 2)), lost, rtol=0.25)
    assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.85 * lost


@pytest.mark.backends
def test_grey_images_are_those_of_libjpeg():
    pixels = sample()[..., 0]
    found = compressed(pixels, 30)[..., 0]
    # But where a coefficient lies half-way between two multiples, which libjpeg's integers decide otherwise.
    assert np.mean(np.abs(found - by_pillow(pixels, 30)) > 1) < 0.05
    assert np.abs(found - pixels).max() > 5


def test_other_numbers_of_channels():
    with pytest.raises(ValueError, match="JpegCompression: images must have 1 or 3 channels; got 2"):
        JpegCompression(50)(np.zeros((1, 16, 16, 2), "float32"))
