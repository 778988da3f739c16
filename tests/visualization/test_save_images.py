import numpy as np
import pytest
from PIL import Image

import kgen
from kgen.visualization import image_grid, save_images


def random_images(count, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, channels), "uint8")


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_a_grid(tmp_path):
    images, captions = random_images(3), ["one", "two", "three"]
    save_images(tmp_path / "new" / "samples.PNG", images, captions, columns=3, scale=2)
    np.testing.assert_array_equal(
        read(tmp_path / "new" / "samples.PNG"), np.asarray(image_grid(images, captions, 3, scale=2))
    )
    assert len(list((tmp_path / "new").iterdir())) == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_a_folder(tmp_path, channels):
    images = random_images(3, channels)
    save_images(str(tmp_path / "new" / "samples"), images)
    files = sorted((tmp_path / "new" / "samples").iterdir())
    assert [file.name for file in files] == ["0000.png", "0001.png", "0002.png"]
    np.testing.assert_array_equal([read(file) for file in files], images if channels == 3 else images[..., 0])


def test_one_image(tmp_path):
    """As `generate("a cat")` gives it."""
    (image,) = random_images(1)
    save_images(tmp_path / "cat.png", image)
    np.testing.assert_array_equal(read(tmp_path / "cat.png"), image)
    save_images(tmp_path / "named.png", image, "a cat")
    np.testing.assert_array_equal(read(tmp_path / "named.png"), np.asarray(image_grid(image[None], ["a cat"])))
    save_images(tmp_path / "cats", image, "a cat")
    assert [file.name for file in sorted((tmp_path / "cats").iterdir())] == ["0000.png", "captions.csv"]


def test_captions_come_back_with_their_images(tmp_path):
    images, captions = random_images(3), ['a "red" apple, cut', "一只黑猫", "a cat"]
    save_images(tmp_path / "samples", images, captions)
    again = kgen.data.captioned_folder(tmp_path / "samples", image_size=8)
    np.testing.assert_array_equal(again.images, images)
    assert [texts[0] for texts in again.captions] == captions
    # Other images without captions must not get these.
    save_images(tmp_path / "samples", images)
    assert not (tmp_path / "samples" / "captions.csv").exists()


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"images": np.zeros((2, 4, 4, 3))}, TypeError, "images must be a uint8 array .*; got float64"),
        ({"captions": ["one"]}, ValueError, r"give a caption for each of the 2 images; got \['one'\]"),
        ({"path": "samples.jpg"}, ValueError, "path must end in .png, or be a folder without a suffix; got 'samples.j"),
        ({"path": "samples", "columns": 2}, ValueError, "columns and scale are only for a grid; path must end in .png"),
        ({"columns": 0}, ValueError, "columns must be an integer of at least 1; got 0"),
        ({"scale": 1.5}, ValueError, "scale must be an integer of at least 1; got 1.5"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, given, error, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"save_images: .*{said}"):
        save_images(**{"path": "samples.png", "images": random_images(2), **given})
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_beside_the_pixels(tmp_path):
    images = random_images(2)
    texts = [{"prompt": "一只黑猫", "seed": "0"}, {"prompt": "a cat"}]
    save_images(tmp_path / "samples", images, texts=texts)
    for name, expected in zip(("0000.png", "0001.png"), texts):
        with Image.open(tmp_path / "samples" / name) as image:
            assert image.text == expected
    save_images(tmp_path / "grid.png", images, texts=texts[:1])
    with Image.open(tmp_path / "grid.png") as image:
        assert image.text == texts[0]
    with pytest.raises(ValueError, match="save_images: give one dict of texts for each of the 1 files; got 2"):
        save_images(tmp_path / "grid.png", images, texts=texts)


def test_a_grid_of_one_without_a_margin_is_that_image(tmp_path):
    images = random_images(1)
    save_images(tmp_path / "one.png", images, margin=0)
    np.testing.assert_array_equal(read(tmp_path / "one.png"), images[0])
