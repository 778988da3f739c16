import io

import numpy as np
import pytest
from PIL import Image

from kgen.eight_bit_image import eight_bit, is_transparent, opaque


def test_16_bits_keep_black_and_white():
    grey = np.linspace(0, 65535, 12).astype("uint16").reshape(3, 4)
    found = eight_bit(Image.fromarray(grey))
    np.testing.assert_array_equal(np.asarray(found), np.rint(grey / 257))


def test_32_bits_are_refused():
    file = io.BytesIO()
    Image.fromarray(np.zeros((2, 3), "int32")).save(file, "TIFF")
    with Image.open(file) as wide, pytest.raises(ValueError, match="the white level of 32-bit pixels is unknown"):
        eight_bit(wide)
    with pytest.raises(ValueError, match="convert them to 8 or 16 bits"):
        eight_bit(Image.new("F", (3, 2)))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_parts_show_the_background(mode):
    image = Image.new("RGBA", (2, 1), (10, 10, 10, 255))
    image.putpixel((1, 0), (90, 90, 90, 0))
    image = image.convert(mode)
    assert is_transparent(image)
    assert np.asarray(opaque(image, (255, 250, 0)))[0].tolist() == [[10, 10, 10], [255, 250, 0]]


def test_a_transparent_colour_of_a_palette():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 1]], "uint8")).quantize(2).save(file, "PNG", transparency=0)
    with Image.open(file) as image:
        assert is_transparent(image)
        assert 255 in np.asarray(opaque(eight_bit(image), (255, 255, 255)))
    assert not is_transparent(Image.new("RGB", (2, 2)))
