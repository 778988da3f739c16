import numpy as np
import pytest
from PIL import Image

from kgen.command import demo_photos
from kgen.presets import load_preset, preset_names

pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(autouse=True)
def presets(monkeypatch, restorer, inpainter, painter):
    """Small models in place of those that come with kgen."""
    made = {"denoise_photo": restorer, "inpaint_photo": inpainter, "style_efficientnet_lite0": painter}
    monkeypatch.setattr(demo_photos, "load_preset", lambda name: load_preset(made[name]))
    monkeypatch.setattr(demo_photos, "_loaded", {})
    return made


def test_what_it_offers_comes_with_kgen():
    assert {*demo_photos.ENHANCERS.values(), demo_photos.STYLE} <= set(preset_names())


def test_before_and_after(presets, photo):
    image = demo_photos.photo(photo)
    before, after = demo_photos.enhance("Remove noise", image)
    np.testing.assert_array_equal(before, image)
    np.testing.assert_array_equal(after, load_preset(presets["denoise_photo"]).restore(image, verbose=0))


def test_what_is_painted_over_is_filled_in(photo):
    task, image = "Fill in painted areas", demo_photos.photo(photo)
    mask = np.zeros(image.shape[:2], "uint8")
    mask[5:9, 6:9] = 200
    before, after = demo_photos.enhance(task, image, mask)
    known = mask == 0
    np.testing.assert_array_equal(after[known], image[known])
    np.testing.assert_array_equal(before[known], image[known])
    assert (before[~known] == 128).all() and (after[~known] != 128).any()
    for nothing in (None, mask * 0):
        with pytest.raises(ValueError, match="Paint over the areas to fill in first"):
            demo_photos.enhance(task, image, nothing)
    with pytest.raises(ValueError, match="The whole image is painted over"):
        demo_photos.enhance(task, image, mask * 0 + 1)


def test_style(presets, photo):
    image = demo_photos.photo(photo)
    before, after = demo_photos.stylize(image, image[::-1], 0.5, 0.0, True)
    np.testing.assert_array_equal(before, image)
    wanted = load_preset(presets["style_efficientnet_lite0"]).stylize(
        image, image[::-1], strength=0.5, texture=0.0, preserve_color=True, verbose=0
    )
    np.testing.assert_array_equal(after, wanted)


def test_large_photographs_are_made_smaller(folder):
    Image.fromarray(np.full((3000, 1500, 3), 77, "uint8")).save("large.png")
    image = demo_photos.photo("large.png")
    assert image.shape == (1414, 707, 3) and (image == 77).all()
    small = image[:100, :100]
    assert demo_photos.smaller(small) is small
    assert demo_photos.smaller(np.zeros((2_000_000, 1), "uint8")).shape[1] == 1


def test_bad_files(folder):
    (folder / "notes.png").write_text("no image")
    with pytest.raises(OSError, match="This file cannot be read as an image"):
        demo_photos.photo("notes.png")
    with pytest.raises(ValueError, match="Upload a photograph first"):
        demo_photos.photo(None)
    with pytest.raises(ValueError, match="Upload a style first"):
        demo_photos.photo(None, "a style")
