"""The preset of scenes: words are put together in ways that it never saw."""

from pathlib import Path

import numpy as np
import pytest

import kgen
from kgen.data.compose import TINTS, held_out
from kgen.models import TextToImage
from tests.data.test_compose import blobs

pytest.importorskip("tensorflow_text")

DIRECTORY = Path(kgen.presets.__file__).parent / "scenes_128"


@pytest.fixture(scope="module")
def model():
    return TextToImage.from_preset("scenes_128")


def test_it_is_small_and_comes_with_card_and_script():
    assert (DIRECTORY / "model.keras").stat().st_size < 8e6
    card = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card and "train.py" in card and (DIRECTORY / "images.png").is_file()


@pytest.mark.backends
def test_as_many_as_were_asked_for(model):
    prompts = {"a lemon": 1, "two mushrooms": 2, "two doughnuts": 2, "three frogs": 3, "three hamburgers": 3}
    assert held_out("two", "mushroom") and held_out("two", "doughnut") and held_out("three", "frog")
    drawn = model.generate(list(prompts), seed=0, verbose=0)
    # Small marks around the things are not counted: of areas of 8 x 8 pixels, those that are well covered.
    coarse = drawn.reshape(len(drawn), 16, 8, 16, 8, 3).mean(axis=(2, 4))
    assert [blobs(np.where(each < 225, 0, 255)) for each in coarse] == list(prompts.values())


@pytest.mark.backends
def test_colours_that_the_thing_never_had(model):
    prompts = {"a blue dog": "blue", "a pink rabbit": "pink", "a green owl": "green", "a red elephant": "red"}
    assert all(held_out(*prompt.split()[1:]) for prompt in prompts)
    for image, color in zip(model.generate(list(prompts), seed=0, verbose=0), prompts.values()):
        drawn = image[image.min(axis=-1) < 200].mean(axis=0)
        wanted = np.array(TINTS[color], "float64")
        others = [np.array(tint) for name, tint in TINTS.items() if name != color]

        def angle(tint, drawn=drawn):
            # As far from grey, whatever the shade.
            first, second = drawn - drawn.mean(), tint - tint.mean()
            return first @ second / np.linalg.norm(first) / np.linalg.norm(second)

        assert angle(wanted) > max(map(angle, others)), (color, drawn)
