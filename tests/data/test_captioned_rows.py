import io

import numpy as np
import pytest
from PIL import Image

from kgen.data import CaptionedImages

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), "uint8")


def encoded(image, format="PNG"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format)
    return stream.getvalue()


def read(images, text="a cat", **options):
    return CaptionedImages.from_rows([{"image": each, "text": text} for each in images], image_size=16, **options)


def test_images_of_every_kind(tmp_path):
    (tmp_path / "one.png").write_bytes(encoded(IMAGES[0]))
    kinds = [
        Image.fromarray(IMAGES[0]),
        IMAGES[0],
        encoded(IMAGES[0]),
        {"bytes": encoded(IMAGES[0]), "path": "one.png"},
        {"bytes": None, "path": str(tmp_path / "one.png")},
        bytearray(encoded(IMAGES[0])),
    ]
    data = read(kinds)
    for image in data.images:
        np.testing.assert_array_equal(image, IMAGES[0])
    assert data.file_names == ["0", "1", "2", "one.png", str(tmp_path / "one.png"), "5"]
    assert data.images.dtype == np.uint8 and data.captions == [["a cat"]] * 6


def test_any_size_and_mode():
    odd = [IMAGES[0, :, :, 0], IMAGES[0, :, :, :1], np.dstack([IMAGES[0], IMAGES[0, :, :, :1]]), IMAGES[0].repeat(2, 0)]
    assert read(odd).images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(read(odd[:1], channels=1).images[0, :, :, 0], IMAGES[0, :, :, 0])
    padded = read(odd[3:], resize="pad", background=(1, 2, 3)).images[0]
    assert padded[8, 0].tolist() == [1, 2, 3]


def test_an_image_of_the_user_keeps_its_size(tmp_path):
    Image.new("RGB", (512, 512)).save(tmp_path / "large.jpg")
    with Image.open(tmp_path / "large.jpg") as image:
        read([image])
        assert image.size == (512, 512)


def test_captions_of_every_kind():
    texts = ["a cat", b"eine Katze \xc3\xa4", ["a cat", " a pet "], ("a cat",), np.array(["a", "b"])]
    rows = [{"jpg": IMAGES[0], "txt": text, "__key__": f"k{i}"} for i, text in enumerate(texts)]
    data = CaptionedImages.from_rows(rows, "jpg", "txt", 16)
    assert data.captions == [["a cat"], ["eine Katze ä"], ["a cat", "a pet"], ["a cat"], ["a", "b"]]
    assert data.file_names == ["k0", "k1", "k2", "k3", "k4"]


def test_rows_that_come_one_by_one_are_the_same():
    rows = [{"image": image, "text": "a cat"} for image in IMAGES]
    data = CaptionedImages.from_rows((row for row in rows), image_size=16)
    np.testing.assert_array_equal(data.images, IMAGES)


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ({"picture": 1, "text": "a"}, ValueError, "row 1 has no 'image'; it has 'picture', 'text'. Pass image="),
        ({"image": IMAGES[0], "label": 1}, ValueError, "row 1 has no 'text'"),
        ((IMAGES[0], "a"), TypeError, "row 1 must be a dict; got tuple"),
        ({"image": 3, "text": "a"}, TypeError, "row 1: 'image' must be a PIL image, .* got int"),
        ({"image": {"bytes": None}, "text": "a"}, TypeError, "'image' must be a PIL image, .* got dict"),
        ({"image": b"x", "text": "a"}, ValueError, "row 1: 'image' cannot be read as an image"),
        ({"image": {"path": "none.png"}, "text": "a"}, ValueError, "'image' cannot be read .*No such file"),
        ({"image": encoded(IMAGES[0])[:120], "text": "a"}, ValueError, "'image' is an image that cannot be read"),
        ({"image": IMAGES[0] / 255.0, "text": "a"}, ValueError, r"'image' must be a uint8 array .* got float64 of"),
        ({"image": IMAGES[0], "text": 3}, TypeError, "row 1: 'text' must be a string or a list of strings; got 3"),
        ({"image": IMAGES[0], "text": ["a", None]}, TypeError, "'text' must be a string or a list"),
        ({"image": IMAGES[0], "text": [" "]}, ValueError, "row 1: 'text' is empty, or has an empty caption"),
        ({"image": IMAGES[0], "text": []}, ValueError, "row 1: 'text' is empty"),
    ],
)
def test_a_row_that_is_wrong_is_named(row, kind, words):
    with pytest.raises(kind, match=f"CaptionedImages.from_rows: .*{words}"):
        CaptionedImages.from_rows([{"image": IMAGES[0], "text": "a cat"}, row], image_size=16)


def test_no_rows():
    with pytest.raises(ValueError, match="from_rows: there are no rows"):
        CaptionedImages.from_rows([])
    with pytest.raises(ValueError, match="from_rows: image_size must be"):
        CaptionedImages.from_rows([], image_size=0)
