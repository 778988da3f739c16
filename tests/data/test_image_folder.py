import os
import tracemalloc
import warnings

import numpy as np
import pytest
from PIL import Image

from kgen.data import ImageFolder


def paint(path, color=(255, 0, 0), size=(12, 12), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).convert(mode).save(path)


def read(folder, batch_size=2):
    """All images, which must be read without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return np.concatenate(list(folder.batches(batch_size)))


@pytest.fixture
def folder(tmp_path):
    """Five images whose red is their number in the order of names, not written in that order."""
    for i in (3, 0, 4, 2, 1):
        paint(tmp_path / f"{'abcde'[i]}.png", (i, 100, 200))
    return tmp_path


def test_batches_in_the_order_of_names(folder):
    images = ImageFolder(folder, 8)
    assert len(images) == 5 and images.image_shape == (8, 8, 3)
    batches = list(images.batches(2))
    assert [batch.shape for batch in batches] == [(2, 8, 8, 3), (2, 8, 8, 3), (1, 8, 8, 3)]
    assert all(batch.dtype == np.uint8 for batch in batches)
    assert [tuple(image[0, 0]) for batch in batches for image in batch] == [(i, 100, 200) for i in range(5)]
    # It can be read again.
    np.testing.assert_array_equal(read(images, 3), np.concatenate(batches))


def test_what_counts_as_an_image(tmp_path):
    paint(tmp_path / "b" / "deep" / "1.JPG")
    paint(tmp_path / "a.webp")
    paint(tmp_path / "c.gif", mode="P")
    paint(tmp_path / ".hidden.png")
    paint(tmp_path / ".cache" / "1.png")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "notes.txt").write_text("no image")
    assert ImageFolder(tmp_path, 8).files == ["a.webp", "b/deep/1.JPG", "c.gif"]
    assert len(read(ImageFolder(str(tmp_path), 8))) == 3


def test_sizes_and_modes(tmp_path):
    paint(tmp_path / "1.png", (10, 20, 30), size=(40, 8))
    paint(tmp_path / "2.png", (10, 20, 30), size=(3, 5))
    paint(tmp_path / "3.png", (90, 90, 90), mode="L")
    Image.new("RGBA", (9, 9), (0, 0, 0, 0)).save(tmp_path / "4.png")
    Image.fromarray(np.full((9, 9), 90 * 257, "uint16")).save(tmp_path / "5.png")
    colors = [tuple(image[4, 4]) for image in read(ImageFolder(tmp_path, 8, background="blue"))]
    assert colors == [(10, 20, 30), (10, 20, 30), (90, 90, 90), (0, 0, 255), (90, 90, 90)]
    grey = read(ImageFolder(tmp_path, 8, channels=1))
    assert grey.shape == (5, 8, 8, 1) and list(grey[2:, 4, 4, 0]) == [90, 255, 90]


def test_crop_or_pad(tmp_path):
    wide = np.zeros((8, 16, 3), "uint8")
    wide[:, :4], wide[:, -4:] = 255, 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert read(ImageFolder(tmp_path, 8)).max() == 0
    padded = read(ImageFolder(tmp_path, 16, resize="pad", background="red"))[0]
    assert tuple(padded[0, 8]) == (255, 0, 0) and tuple(padded[8, 0]) == (255, 255, 255)


def test_limit(folder):
    images = ImageFolder(folder, 8, limit=2)
    assert len(images) == 2 and [image[0, 0, 0] for image in read(images)] == [0, 1]
    assert len(ImageFolder(folder, 8, limit=9)) == 5


def test_every_kind_of_image(tmp_path):
    names = ["a.png", "b.tif", "c.tiff", "d.jfif", "e.jp2", "f.avif", "g.TGA"]
    for name in names:
        paint(tmp_path / name, size=(32, 32))
    images = read(ImageFolder(tmp_path, 8), 8)
    assert len(images) == len(names) and (np.abs(images.astype(int) - (255, 0, 0)) < 8).all()


# === What cannot be read ===
def test_images_that_pillow_does_not_read_are_named(folder):
    (folder / "f.heic").write_bytes(b"x")
    (folder / "g.svg").write_bytes(b"<svg></svg>")
    images = ImageFolder(folder, 8)
    assert len(images) == 7
    with pytest.warns(UserWarning, match="skipped 2 unreadable images of 7 .*f.heic: .*pillow-heif.*g.svg: "):
        assert len(np.concatenate(list(images.batches(4)))) == 5


def test_the_unreadable_are_left_out_with_one_warning(folder):
    (folder / "b.png").write_bytes(b"no image at all")
    (folder / "d.png").write_bytes((folder / "a.png").read_bytes()[:40])
    with pytest.warns(UserWarning, match="skipped 2 unreadable images of 5 in .*b.png: .*; d.png: ") as caught:
        batches = list(ImageFolder(folder, 8).batches(2))
    assert len(caught) == 1
    assert [image[0, 0, 0] for batch in batches for image in batch] == [0, 2, 4]


def test_a_batch_of_nothing_readable_is_left_out(folder):
    for name in "ab":
        (folder / f"{name}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped 2"):
        assert [len(batch) for batch in ImageFolder(folder, 8).batches(2)] == [2, 1]


def test_the_warning_names_ten(tmp_path):
    paint(tmp_path / "z.png")
    for i in range(13):
        (tmp_path / f"{i:02d}.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="skipped 13 unreadable images of 14 .*; and 3 more") as caught:
        list(ImageFolder(tmp_path, 8).batches(4))
    assert "09.png" in str(caught[0].message) and "10.png" not in str(caught[0].message)


def test_on_error_raise(folder):
    (folder / "c.png").write_bytes(b"no image at all")
    with pytest.raises(ValueError, match="ImageFolder: unreadable image in .*c.png: UnidentifiedImageError"):
        list(ImageFolder(folder, 8, on_error="raise").batches(2))


def test_nothing_can_be_read(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"x")
    with pytest.raises(ValueError, match="ImageFolder: no image in .* could be read. a.png"):
        list(ImageFolder(tmp_path, 8).batches(2))


def test_an_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="ImageFolder: there are no images in .*expected files ending in .png"):
        ImageFolder(tmp_path, 8)


def test_no_such_folder(tmp_path):
    with pytest.raises(ValueError, match="ImageFolder: path must be a folder.*nowhere' does not exist"):
        ImageFolder(tmp_path / "nowhere", 8)
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="ImageFolder: .*file' is a file"):
        ImageFolder(tmp_path / "file", 8)


@pytest.mark.parametrize(
    "wrong",
    [{"limit": 0}, {"limit": True}, {"limit": 1.5}, {"on_error": "ignore"}, {"resize": "fit"}, {"image_size": 0}],
)
def test_refuses_options(folder, wrong):
    with pytest.raises(ValueError, match=f"ImageFolder: {next(iter(wrong))} must"):
        ImageFolder(folder, **{"image_size": 8, **wrong})


# === As large as one likes ===
def test_memory_is_for_a_batch(tmp_path):
    paint(tmp_path / "0.png")
    for i in range(1, 60):
        os.link(tmp_path / "0.png", tmp_path / f"{i}.png")
    images = ImageFolder(tmp_path, 128)
    one = 128 * 128 * 3
    tracemalloc.start()
    count = sum(len(batch) for batch in images.batches(4))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60 and peak < 20 * one


def test_fingerprint(folder):
    first = ImageFolder(folder, 8).fingerprint()
    assert ImageFolder(folder, 8).fingerprint() == first
    os.utime(folder / "a.png", (0, 0))
    assert ImageFolder(folder, 8).fingerprint() == first
    assert ImageFolder(folder, 8, limit=4).fingerprint() != first
    (folder / "e.png").rename(folder / "f.png")
    renamed = ImageFolder(folder, 8).fingerprint()
    assert renamed != first
    (folder / "f.png").rename(folder / "e.png")
    assert ImageFolder(folder, 8).fingerprint() == first
    content = bytearray((folder / "c.png").read_bytes())
    content[-1] ^= 1
    (folder / "c.png").write_bytes(content)
    assert ImageFolder(folder, 8).fingerprint() not in (first, renamed)


def test_fingerprint_of_contents_that_changed_places(tmp_path):
    for directory, (a, b) in {"one": (b"x", b"y"), "other": (b"y", b"x"), "moved": (b"xy", b"")}.items():
        (tmp_path / directory).mkdir()
        (tmp_path / directory / "a.png").write_bytes(a)
        (tmp_path / directory / "b.png").write_bytes(b)
    prints = {ImageFolder(tmp_path / name, 8).fingerprint() for name in ("one", "other", "moved")}
    assert len(prints) == 3


def test_links_that_lead_out_are_read_only_on_request(tmp_path):
    paint(tmp_path / "outside" / "secret.png")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link.png").symlink_to(tmp_path / "outside" / "secret.png")
    with pytest.raises(ValueError, match="1 files are links that lead out of it: follow_links=True reads them"):
        ImageFolder(folder, 8)
    assert ImageFolder(folder, 8, follow_links=True).files == ["link.png"]
