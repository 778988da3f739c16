import io

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from kgen.data.read_image import is_image_name, read_image

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def close(pixel, color, tolerance=6):
    return np.abs(np.asarray(pixel, "int") - color).max() <= tolerance


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP"])
def test_kinds(kind):
    image = read_image(encoded(Image.new("RGB", (20, 30), RED), kind), 16)
    assert image.shape == (16, 16, 3) and image.dtype == np.uint8
    assert close(image[8, 8], RED)


def test_first_frame_of_a_gif():
    frames = [Image.new("RGB", (16, 16), color) for color in (GREEN, BLUE)]
    image = read_image(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), 16)
    assert close(image[0, 0], GREEN)


def test_alpha_shows_the_background():
    image = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 16, 8))
    image = read_image(encoded(image, "PNG"), 16, background="#0000ff")
    assert close(image[2, 8], RED) and close(image[14, 8], BLUE)
    half = read_image(encoded(Image.new("RGBA", (8, 8), (0, 0, 0, 128)), "PNG"), 8)
    assert close(half[4, 4], (127, 127, 127), 2)


def test_transparent_palette_and_grey_alpha():
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([*RED, *GREEN])
    image = read_image(encoded(palette, "PNG", transparency=0), 16, background=(0, 0, 255))
    assert close(image[4, 4], BLUE)
    assert close(read_image(encoded(palette, "PNG"), 16)[4, 4], RED)
    assert close(read_image(encoded(Image.new("LA", (8, 8), (9, 0)), "PNG"), 8)[4, 4], (255, 255, 255))


def test_16_bit_grey_is_scaled_not_clipped():
    values = np.full((16, 16), 32896, "uint16")  # half of 65535
    image = read_image(encoded(Image.fromarray(values), "PNG"), 16)
    assert close(image[4, 4], (128, 128, 128), 1)


@pytest.mark.parametrize(("mode", "color"), [("1", 1), ("L", 255), ("CMYK", (0, 0, 0, 0))])
def test_other_modes_become_rgb(mode, color):
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert close(read_image(encoded(Image.new(mode, (16, 16), color), kind), 8)[4, 4], (255, 255, 255))


def test_one_channel():
    image = read_image(encoded(Image.new("RGB", (16, 16), (255, 255, 255)), "PNG"), 8, channels=1)
    assert image.shape == (8, 8, 1) and image.min() == 255


def test_exif_orientation_is_applied():
    image = Image.new("RGB", (32, 32), BLUE)
    image.paste(RED, (0, 0, 32, 16))  # red above blue, as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise: red goes to the right
    image = read_image(encoded(image, "JPEG", exif=exif), 16)
    assert close(image[8, 13], RED, 30) and close(image[8, 2], BLUE, 30)


def test_crop_keeps_the_centre_and_pad_keeps_all():
    image = Image.new("RGB", (48, 16), RED)
    image.paste(GREEN, (16, 0, 32, 16))
    cropped = read_image(encoded(image, "PNG"), 16, resize="crop")
    assert (cropped == GREEN).all()
    padded = read_image(encoded(image, "PNG"), 24, resize="pad", background="black")
    assert close(padded[12, 2], RED) and close(padded[12, 12], GREEN) and close(padded[12, 22], RED)
    assert not padded[:7].any() and not padded[17:].any()


def test_resizing_is_antialiased():
    stripes = np.zeros((256, 256), "uint8")
    stripes[:, ::2] = 255
    image = read_image(encoded(Image.fromarray(stripes), "PNG"), 32)
    assert image.std() < 3 and abs(image.mean() - 127.5) < 3  # nearest neighbours would be all black or all white


def test_a_long_thin_image_keeps_a_pixel():
    assert read_image(encoded(Image.new("RGB", (300, 1), RED), "PNG"), 8, resize="pad").shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 0}, "image_size must be an integer of at least 1; got 0"),
        ({"image_size": (8, 8)}, "image_size must be an integer of at least 1"),
        ({"channels": 4}, "channels must be 1 .* or 3"),
        ({"background": "whitish"}, "background must be a colour.*'whitish'"),
        ({"background": (0, 0, 300)}, "background must be a colour"),
        ({"resize": "stretch"}, 'resize must be "crop" or "pad"; got \'stretch\''),
    ],
)
def test_refuses_options(options, message):
    with pytest.raises(ValueError, match=f"read_image: {message}"):
        read_image(encoded(Image.new("RGB", (8, 8)), "PNG"), **{"image_size": 8, **options})


def test_a_large_jpeg_equals_the_same_pixels_as_png():
    y, x = np.mgrid[0:600, 0:800]
    image = Image.fromarray((np.stack([x / 800, y / 600, (x + y) / 1400], -1) * 255).astype("uint8"))
    jpeg, png = (read_image(encoded(image, kind), 32).astype(int) for kind in ("JPEG", "PNG"))
    assert np.abs(jpeg - png).max() <= 4


# === Every format that Pillow reads ===
@pytest.mark.parametrize("kind", ["TIFF", "AVIF", "JPEG2000", "ICO", "PPM", "PCX", "TGA", "SGI", "QOI", "DDS", "DIB"])
def test_other_kinds(kind, tmp_path):
    name = tmp_path / f"image.{kind.lower()}"
    try:
        Image.new("RGB", (32, 32), RED).save(name, kind)
    except (KeyError, OSError):
        pytest.skip(f"this Pillow does not write {kind}")
    assert close(read_image(name, 16)[8, 8], RED)


def test_names_of_images():
    for name in (
        "a.png",
        "b/c.TIF",
        "a.tiff",
        "a.jfif",
        "a.jp2",
        "a.ico",
        "a.mpo",
        "a.heic",
        "a.HEIF",
        "a.svg",
        "a.dng",
    ):
        assert is_image_name(name), name
    for name in ("a.txt", "a.csv", "model.h5", "film.mpeg", "a", ".png", "a.json", "a.pdf"):
        assert not is_image_name(name), name


def test_a_plug_in_of_pillow_counts(monkeypatch):
    assert not is_image_name("a.kgen_test")
    monkeypatch.setitem(Image.EXTENSION, ".kgen_test", "PNG")
    assert is_image_name("a.kgen_test")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.heic", r"Pillow does not read .heic: `pip install pillow-heif`.*register_heif_opener\(\)"),
        ("a.svg", "Pillow does not read .svg: convert it to png"),
        ("a.png", "cannot identify image file"),
    ],
)
def test_what_pillow_does_not_read(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"<svg></svg>")
    with pytest.raises(UnidentifiedImageError, match=message):
        read_image(tmp_path / name, 8)


def test_nothing_is_handed_to_ghostscript(tmp_path):
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n")
    with pytest.raises(UnidentifiedImageError, match="Pillow does not read .eps"):
        read_image(tmp_path / "a.eps", 8)


@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_pixels_of_32_bits_have_no_white(tmp_path, dtype):
    Image.fromarray(np.full((8, 8), 1, dtype)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match="the white level of 32-bit pixels is unknown"):
        read_image(tmp_path / "a.tif", 8)


def test_16_bit_grey_of_a_tiff_is_scaled(tmp_path):
    Image.fromarray(np.full((8, 8), 32896, "uint16")).save(tmp_path / "a.tif")
    assert close(read_image(tmp_path / "a.tif", 8)[4, 4], (128, 128, 128), 1)
