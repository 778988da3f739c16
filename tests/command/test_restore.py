import numpy as np
import pytest
from PIL import Image

from kgen.presets import load_preset

pytestmark = pytest.mark.usefixtures("eager")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.backends
def test_one_image(kgen, restorer, photo):
    code, out, err = kgen("restore", photo, "--preset", restorer)
    assert (code, out) == (0, "photo_restored.png\n")
    np.testing.assert_array_equal(pixels("photo_restored.png"), load_preset(restorer).restore(pixels(photo)))


def test_several_images_and_alpha(done, restorer, photo, folder):
    image = np.dstack([pixels(photo), np.full((36, 44), 99, "uint8")])
    Image.fromarray(image).save("clear.webp", lossless=True)
    result = done("restore", photo, "clear.webp", "--preset", restorer, "-o", "better")
    assert result["files"] == ["better/photo.png", "better/clear.png"]
    assert pixels("better/photo.png").shape == (36, 44, 3)
    assert (pixels("better/clear.png")[..., 3] == 99).all()
    # A JPEG has no alpha.
    done("restore", "clear.webp", "--preset", restorer, "-o", "clear.jpg")
    assert pixels("clear.jpg").shape == (36, 44, 3)


def test_missing_parts(done, failed, inpainter, restorer, photo):
    mask = np.zeros((36, 44), "uint8")
    mask[5:8, 6:9] = 255
    Image.fromarray(mask).save("mask.png")
    done("restore", photo, "--preset", inpainter, "--mask", "mask.png", "-o", "whole.png")
    known = mask == 0
    np.testing.assert_array_equal(pixels("whole.png")[known], pixels(photo)[known])
    assert (pixels("whole.png")[~known] != pixels(photo)[~known]).any()
    assert "needs --mask, white where something is missing" in failed(2, "restore", photo, "--preset", inpainter)
    assert "leave out --mask" in failed(2, "restore", photo, "--preset", restorer, "--mask", "mask.png")
    # A transparent part is not missing, whatever its colour.
    Image.fromarray(np.dstack([np.full((36, 44, 3), 255, "uint8"), mask])).save("clear.png")
    done("restore", photo, "--preset", inpainter, "--mask", "clear.png", "-o", "same.png")
    np.testing.assert_array_equal(pixels("same.png"), pixels("whole.png"))
    Image.fromarray(mask[:9]).save("low.png")
    line = failed(1, "restore", photo, "--preset", inpainter, "--mask", "low.png")
    assert "'low.png' must be as large as 'photo.png', 44 x 36 pixels; it is 44 x 9" in line


def test_bad_input(failed, restorer, photo, folder):
    assert "'.' is a directory; give image files, such as *.jpg" in failed(2, "restore", ".", "--preset", restorer)
    assert "-o/--output: the path is empty" in failed(2, "restore", photo, "--preset", restorer, "-o", "")
    (folder / "broken.png").write_bytes(b"x")
    assert "'broken.png' is not an image that Pillow can read" in failed(
        1, "restore", "broken.png", "--preset", restorer
    )
    (folder / "half.png").write_bytes((folder / photo).read_bytes()[:200])
    assert "'half.png' " in failed(1, "restore", "half.png", "--preset", restorer)
    assert "'none.png' cannot be read (No such file" in failed(1, "restore", "none.png", "--preset", restorer)
    assert "is of class TextToImage; this command takes ImageRestorer" in failed(
        2, "restore", photo, "--preset", "openmoji_64"
    )
    line = failed(2, "restore", photo, photo, "--preset", restorer, "-o", "both.png")
    assert "-o: 'both.png' must be a folder" in line
    assert "two images have the same name" in failed(2, "restore", photo, photo, "--preset", restorer)
    assert not (folder / "restored").exists()


def test_an_input_that_was_replaced_is_told(done, kgen, restorer, photo):
    # Other bytes than those that are written, though the small network changes little.
    Image.fromarray(pixels(photo)).save(photo, compress_level=0)
    done("restore", photo, "--preset", restorer, "-o", photo, "--overwrite")
    code, out, err = kgen("run", f"{photo}.run.json", "-o", "again.png")
    assert code == 0 and "photo.png' is missing or has changed; the result will differ" in err


def test_a_folder_that_is_a_link_or_here(done, restorer, photo, folder, monkeypatch):
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    done("restore", photo, "--preset", restorer, "-o", "link")
    assert (folder / "link").is_symlink() and (folder / "real" / "photo.png").is_file()
    # In place of a file.
    (folder / "better").write_text("old")
    done("restore", photo, "--preset", restorer, "-o", "better", "--overwrite")
    assert (folder / "better" / "photo.png").is_file()
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    done("restore", f"../{photo}", "--preset", restorer, "-o", ".")
    assert (folder / "here" / "photo.png").is_file() and (folder / "here.run.json").is_file()


def test_it_can_be_repeated(done, kgen, restorer, photo):
    done("restore", photo, "--preset", restorer, "-o", "one.png")
    assert kgen("run", "one.png.run.json")[:2] == (0, "one_2.png\n")
    np.testing.assert_array_equal(pixels("one_2.png"), pixels("one.png"))
