"""The preset of avatars: what a caption says is drawn, what it leaves out differs."""

from pathlib import Path

import numpy as np
import pytest

import kgen
from kgen.models import TextToImage

pytest.importorskip("tensorflow_text")

DIRECTORY = Path(kgen.presets.__file__).parent / "avatars_128"
# Where the clothes of most avatars are, in the middle below the neck.
CLOTHES = (slice(112, 126), slice(52, 76))


@pytest.fixture(scope="module")
def model():
    return TextToImage.from_preset("avatars_128")


def colours(images):
    return images[:, CLOTHES[0], CLOTHES[1]].astype("float32").mean(axis=(1, 2))


def test_it_is_small_and_comes_with_card_and_script():
    assert (DIRECTORY / "model.keras").stat().st_size < 16e6
    card = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    assert "CC BY 4.0" in card and "train.py" in card and (DIRECTORY / "images.png").is_file()


@pytest.mark.backends
def test_what_is_said_in_either_language(model):
    prompts = {
        "a person wearing a yellow sweater": (0, 1),  # red and green, not blue
        "a person wearing a blue sweater": (2,),
        "一个人，穿着黄色毛衣": (0, 1),
        "一个人，穿着蓝色毛衣": (2,),
    }
    drawn = model.generate(list(prompts), num_images=4, seed=0, verbose=0)
    assert drawn.shape == (16, 128, 128, 3)
    for number, bright in enumerate(prompts.values()):
        of_one = colours(drawn[4 * number : 4 * number + 4]).mean(axis=0)
        others = [channel for channel in range(3) if channel not in bright]
        assert min(of_one[list(bright)]) > max(of_one[others]) + 40, (list(prompts)[number], of_one)


def test_what_is_left_out_differs_from_seed_to_seed(model):
    drawn = model.generate("a person with sunglasses", num_images=12, seed=0, verbose=0)
    # The clothes have many colours, the sunglasses are there in all.
    spread = np.abs(colours(drawn)[:, None] - colours(drawn)[None]).max(axis=2)
    assert np.mean(spread > 60) > 0.4
    glasses = drawn[:, 58:70, 48:62].astype("float32").mean(axis=(1, 2, 3))
    assert np.median(glasses) < 110
    assert model.sampler.variety("a person with sunglasses") > 10
    same = (
        model.generate("a person with sunglasses", seed=[3], verbose=0),
        model.generate(["a person with pigtails", "a person with sunglasses"], seed=[9, 3], verbose=0),
    )
    assert np.abs(same[0].astype(int) - same[1][1]).max() <= 1
