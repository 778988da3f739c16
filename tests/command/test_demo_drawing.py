import base64
import io
import json
import re
import threading

import keras
import numpy as np
import pytest
from PIL import Image

from kgen.command.demo_drawing import WALK_STEPS, Drawing, finished, tidy

pytestmark = pytest.mark.usefixtures("eager")

PROMPT = "a red picture"


@pytest.fixture(scope="module")
def model(trained_text_to_image):
    return keras.saving.load_model(trained_text_to_image, compile=False)


@pytest.fixture
def drawing(model):
    return Drawing(model, "mine")


def images(shown):
    """`(pixels, texts)` of each image in HTML."""
    found = []
    for content in re.findall(r'<img src="data:image/png;base64,([^"]+)"', shown):
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            found.append((np.asarray(image), image.text))
    return found


# === One image ===
def test_an_image_with_what_made_it(drawing, model):
    shown = drawing.one(f"  {PROMPT} ", 7)
    ((pixels, texts),) = images(shown)
    np.testing.assert_array_equal(pixels, model.generate(PROMPT, seed=7, verbose=0))
    assert texts == {"prompt": PROMPT, "seed": "7", "model": "mine"}
    assert re.search(r"seed 7 · \d+ ms", shown)
    # What is downloaded is the same file, with a name that says what it is.
    file, address = re.search(r'<a download="([^"]+)" href="([^"]+)"', shown).groups()
    assert file == "a_red_picture_7.png" and f'<img src="{address}"' in shown


def test_what_is_no_prompt(drawing):
    for prompt in ("", "  ", None):
        assert drawing.one(prompt) == '<p class="kgen-says">Say what to draw.</p>'
        assert drawing.strip(prompt) == ""
    assert "Enter both prompts." in drawing.walk(PROMPT, " ")
    # A field for a number that was emptied.
    np.testing.assert_array_equal(images(drawing.one(PROMPT, None))[0][0], images(drawing.one(PROMPT, 0))[0][0])


def test_a_prompt_is_no_markup(drawing):
    shown = drawing.one('a <b onclick="x">red</b> 图片')
    assert "<b" not in shown and 'onclick="' not in shown and "&lt;b onclick=" in shown
    assert images(shown)[0][1]["prompt"] == 'a <b onclick="x">red</b> 图片'
    assert "<b>" not in drawing.walk("<b>", "<b>")


def test_guidance_is_for_a_model_that_remembers(drawing, model, trained_text_to_image):
    assert not drawing.remembers
    np.testing.assert_array_equal(images(drawing.one(PROMPT, 1, "blue", 3.0))[0][0], model.generate(PROMPT, seed=1))
    other = keras.saving.load_model(trained_text_to_image, compile=False)
    other.remember(["a red picture", "a blue picture", "a green picture"], verbose=0)
    remembering = Drawing(other, "mine")
    assert remembering.remembers
    ((pixels, texts),) = images(remembering.one("a red sheet", 1, "a blue picture", 3.0))
    wanted = other.generate("a red sheet", seed=1, negative_prompts="a blue picture", guidance_scale=3.0, verbose=0)
    np.testing.assert_array_equal(pixels, wanted)
    assert (texts["negative_prompt"], texts["guidance"]) == ("a blue picture", "3")


def test_post_processing(drawing):
    ((plain, _),) = images(drawing.one(PROMPT, 1))
    ((pixels, texts),) = images(drawing.one(PROMPT, 1, sharpness=0.5, saturation=0.0, scale=2))
    assert pixels.shape == (32, 32, 3) and (np.ptp(pixels.astype(int), axis=-1) <= 1).all()
    assert (texts["sharpness"], texts["saturation"], texts["scale"]) == ("0.5", "0", "2")
    assert finished(plain) is plain
    sharper = finished(plain, sharpness=1.0)
    assert sharper.shape == plain.shape and sharper.std() > plain.std()


# === Eight seeds, and a walk ===
def test_the_strip_is_of_eight_seeds(drawing, model):
    asked = drawing.strip(f" {PROMPT}", 11)
    # Of eight that stand together, those with the seed that is chosen.
    words, first, *rest = json.loads(asked)
    assert (words, first) == (PROMPT, 8) and asked == drawing.strip(PROMPT, 15) != drawing.strip(PROMPT, 16)
    assert drawing.strip(PROMPT, None) == drawing.strip(PROMPT, 0)
    for seed in (8, 15):
        ((pixels, texts),) = images(f'<img src="{drawing.cell(json.dumps([words, seed, *rest]))}"')
        np.testing.assert_array_equal(pixels, model.generate(PROMPT, seed=seed, verbose=0))
        assert texts == {"prompt": PROMPT, "seed": str(seed), "model": "mine"}


def test_a_walk(drawing, model):
    shown = drawing.walk(PROMPT, "a blue picture", 3, place=2)
    frames = images(shown)
    assert len(frames) == WALK_STEPS + 1 and shown.count("<div hidden>") == WALK_STEPS
    # The one that is seen.
    assert [each.startswith("<div>") for each in re.findall(r"<div(?: hidden)?>", shown)].index(True) == 2
    wanted = model.walk([PROMPT, "a blue picture"], WALK_STEPS, [3, 3], verbose=0)
    np.testing.assert_array_equal([pixels for pixels, _ in frames], wanted)
    assert frames[2][1] == {
        "prompt": f"{PROMPT}\na blue picture",
        "step": f"2/{WALK_STEPS}",
        "seed": "3",
        "model": "mine",
    }


# === Visitors ===
def test_visitors_at_once_get_their_own(drawing, model):
    colors = ("red", "green", "blue", "white")
    got = {}

    def visit(color):
        got[color] = [images(drawing.one(f"a {color} picture", seed))[0] for seed in range(3)]

    threads = [threading.Thread(target=visit, args=(color,)) for color in colors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for color in colors:
        for seed, (pixels, texts) in enumerate(got[color]):
            np.testing.assert_array_equal(pixels, model.generate(f"a {color} picture", seed=seed, verbose=0))
            assert texts["prompt"] == f"a {color} picture"


def test_warming_up_draws_what_is_long_too(drawing, model, monkeypatch):
    lengths = []
    monkeypatch.setattr(model, "generate", lambda words, **_: lengths.append(len(words.split())))
    drawing.warm_up()
    assert lengths == [1, 7, 15, 31]


def test_tidy():
    assert tidy(" a \n cat ") == "a cat" and tidy(None) == ""
