import sys

import numpy as np
import pytest

from kgen.visualization import image_grid
from kgen.visualization.image_grid import images_of_grid


def random_images(count, height=6, width=4, channels=3):
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), "uint8")


def test_every_image_is_in_its_place():
    images = random_images(5)
    grid = image_grid(images, columns=2, margin=3)
    assert grid.mode == "RGB" and grid.size == (3 + 2 * 7, 3 + 3 * 9)
    pixels = np.asarray(grid)
    for i, (top, left) in enumerate([(3, 3), (3, 10), (12, 3), (12, 10), (21, 3)]):
        np.testing.assert_array_equal(pixels[top : top + 6, left : left + 4], images[i])
    assert (pixels[:3] == 255).all() and (pixels[21:, 10:] == 255).all()


@pytest.mark.parametrize("count, columns", [(1, 1), (4, 2), (5, 3), (16, 4)])
def test_by_default_a_grid_is_about_square(count, columns):
    assert image_grid(random_images(count), margin=0).size[0] == 4 * columns


def test_no_more_columns_than_images():
    assert image_grid(random_images(3), columns=8, margin=0).size == (12, 6)


def test_scale_repeats_pixels():
    images = random_images(2)
    pixels = np.asarray(image_grid(images, columns=1, margin=1, scale=3))
    np.testing.assert_array_equal(pixels[1:19, 1:13], images[0].repeat(3, axis=0).repeat(3, axis=1))


def test_grey_images():
    images = random_images(1, channels=1)
    np.testing.assert_array_equal(np.asarray(image_grid(images, margin=0)), images[0].repeat(3, axis=-1))


@pytest.mark.parametrize("captions", [None, ["one", "two words", "three", "a caption that is much too long"]])
def test_images_come_back_out_of_a_grid(captions):
    images = random_images(4, height=20, width=30)
    grid = image_grid(images, captions, columns=3, scale=2)
    np.testing.assert_array_equal(images_of_grid(grid, 4, 3, (20, 30, 3), scale=2), images)


def ink(grid, top):
    """Which pixels below `top` are not white."""
    return (np.asarray(grid)[top:] < 250).any(axis=-1)


def test_captions_are_below_their_images():
    images = random_images(2, height=40, width=80)
    grid = image_grid(images, ["a cat", ""], columns=2, margin=2)
    written = ink(grid, 42)
    assert written[:, 2:82].any() and not written[:, 82:].any()
    other = ink(image_grid(images, ["a dog", ""], columns=2, margin=2), 42)
    assert not np.array_equal(written, other)


def test_a_long_caption_has_three_lines_and_ends_in_an_ellipsis():
    images = random_images(1, height=8, width=100)
    heights = [image_grid(images, [text]).size[1] for text in ("a", "word " * 7, "word " * 70)]
    assert heights[0] < heights[1] == heights[2]
    # What was cut away leaves no trace, and nothing is written beside the image.
    cut = image_grid(images, ["word " * 70])
    np.testing.assert_array_equal(np.asarray(cut), np.asarray(image_grid(images, ["word " * 70])))
    assert not np.array_equal(np.asarray(cut), np.asarray(image_grid(images, ["word " * 7])))
    assert not ink(cut, 10)[:, 102:].any()


def test_letters_have_a_font():
    image, missing = random_images(1, height=8, width=64), "\ue000"

    def drawn(text):
        return ink(image_grid(image, [text]), 10)

    for letter in "éüñßøŁяαא":
        assert not np.array_equal(drawn(letter), drawn(missing)), letter


def test_without_a_font_of_chinese(monkeypatch):
    module = sys.modules["kgen.visualization.image_grid"]
    fonts = module._fonts()[:1]
    monkeypatch.setattr(module, "_fonts", lambda: fonts)
    with pytest.warns(UserWarning, match="no font with '猫' was found, .* For Chinese, install a font such as"):
        image_grid(random_images(1, height=8, width=64), ["a 猫"])


@pytest.mark.parametrize(
    "caption", ["一只黑猫在玩耍，旁边有一个红色的苹果和一个蓝色的方块", "кот", "😀 smile", "a\nb\tc", "y" * 300, "  "]
)
def test_captions_in_any_letters(caption):
    image = random_images(1, height=8, width=64)
    grid = image_grid(image, [caption])
    assert ink(grid, 10).any() == bool(caption.strip())


def test_wrong_images():
    with pytest.raises(TypeError, match=r"image_grid: images must be a uint8 array .*; got float32"):
        image_grid(random_images(2).astype("float32"))
    with pytest.raises(TypeError, match="got list"):
        image_grid([[1]])
    for wrong in (random_images(1)[0], random_images(1, channels=4), random_images(0)):
        with pytest.raises(ValueError, match=r"must have shape \(N, height, width, 1 or 3\) with N at least 1; got \("):
            image_grid(wrong)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"give a caption for each of the 2 images; got \['one'\]"):
        image_grid(random_images(2), ["one"])
    with pytest.raises(ValueError, match="give a caption for each of the 2 images; got 'ab'"):
        image_grid(random_images(2), "ab")
    for name, wrong in (("columns", 0), ("margin", -1), ("scale", 1.5), ("scale", True)):
        with pytest.raises(ValueError, match=f"image_grid: {name} must be an integer of at least"):
            image_grid(random_images(2), **{name: wrong})
