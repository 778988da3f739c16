import numpy as np
import pytest
from PIL import Image

from kgen.presets import load_preset
from tests.models import tiny_style

pytestmark = pytest.mark.usefixtures("eager")


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def painting(folder):
    Image.fromarray(tiny_style.stripes(1, (40, 48))[0]).save("painting.png")
    return "painting.png"


def test_a_photo_in_the_style_of_a_painting(kgen, done, painter, photo, painting):
    arguments = ("--model", painter, "--strength", 0.5, "--texture", 0, "--preserve-color")
    code, out, err = kgen("stylize", photo, painting, *arguments)
    assert (code, out) == (0, "photo_stylized.png\n")
    expected = load_preset(painter).stylize(
        pixels(photo), pixels(painting), strength=0.5, texture=0.0, preserve_color=True
    )
    np.testing.assert_array_equal(pixels("photo_stylized.png"), expected)
    again = done("run", "photo_stylized.png.run.json", "-o", "again.png")
    assert again["model"] == str(painter)
    np.testing.assert_array_equal(pixels("again.png"), expected)


def test_transparent_parts_are_white(done, painter, painting):
    Image.new("RGBA", (24, 20), (0, 0, 0, 0)).save("clear.png")
    done("stylize", "clear.png", painting, "--model", painter, "--strength", 0, "-o", "out.png")
    assert (pixels("out.png") == 255).all()


def test_bad_input(failed, painter, photo, painting):
    assert "argument --strength: must be a number from 0 to 1; got '2'" in failed(
        2, "stylize", photo, painting, "--strength", 2
    )
    assert "'none.png' cannot be read" in failed(1, "stylize", photo, "none.png", "--model", painter)
    assert "-o: 'folder' must end in .png or .jpg" in failed(2, "stylize", photo, painting, "-o", "folder")
