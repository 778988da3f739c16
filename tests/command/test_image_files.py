import numpy as np
import pytest
from PIL import Image

from kgen.command.image_files import BLACK, WHITE, read_whole_image, write_image


def test_upright_and_in_colour(folder):
    Image.new("L", (5, 3), 77).save("grey.png")
    assert read_whole_image(folder / "grey.png").shape == (3, 5, 3)
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (5, 3)).save("turned.jpg", exif=exif)
    assert read_whole_image(folder / "turned.jpg").shape == (5, 3, 3)
    Image.new("LA", (5, 3), (9, 128)).save("clear.png")
    assert read_whole_image(folder / "clear.png")[0, 0].tolist() == [9, 9, 9, 128]


def test_16_bits_and_transparent_parts(folder):
    grey = np.array([[0, 257 * 100, 65535]], "uint16")
    Image.fromarray(grey).save("deep.png")
    assert read_whole_image(folder / "deep.png")[0, :, 0].tolist() == [0, 100, 255]
    Image.new("RGBA", (5, 3), (9, 8, 7, 0)).save("clear.png")
    for background in (WHITE, BLACK):
        assert read_whole_image(folder / "clear.png", background)[0, 0].tolist() == list(background)
    Image.new("F", (5, 3)).save("floats.tif")
    with pytest.raises(OSError, match="'.*floats.tif' cannot be read as an image .the white level of 32-bit pixels"):
        read_whole_image(folder / "floats.tif")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_there_and_back(folder, channels):
    image = np.random.default_rng(0).integers(0, 256, (4, 6, channels), "uint8")
    write_image(folder / "image.png", image)
    expected = image if channels > 1 else image.repeat(3, axis=-1)
    np.testing.assert_array_equal(read_whole_image(folder / "image.png"), expected)
    assert [path.name for path in folder.iterdir()] == ["image.png"]
