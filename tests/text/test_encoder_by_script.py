import numpy as np
import pytest

from kgen.text import EncoderByScript
from kgen.text.encoder_by_script import is_latin
from kgen.text.prompt_cleaner import clean_prompt


class Encoder:
    """Features of nothing but which encoder it is, and how many texts it was given."""

    def __init__(self, number, pooled_dim=3):
        self.number, self.pooled_dim, self.read = number, pooled_dim, []

    def encode(self, captions, batch_size=64, verbose="auto", cut=None, tokens=True):
        self.read += captions
        ones = np.ones((len(captions), 2), "float32")
        pooled = np.full((len(captions), self.pooled_dim), self.number, "float32")
        return {"pooled": pooled} | ({"tokens": self.number * ones[..., None], "mask": ones > 0} if tokens else {})

    def preprocess(self, captions):
        return {}


@pytest.mark.backends
def test_each_reads_its_own_script():
    latin, others = Encoder(1.0), Encoder(2.0)
    features = EncoderByScript(latin, others).encode(["a cat", "猫", "un café", "кот"])
    np.testing.assert_array_equal(features["pooled"], np.repeat([[1.0], [2.0], [1.0], [2.0]], 3, axis=1))
    np.testing.assert_array_equal(features["tokens"], 2.0)
    assert features["mask"].all() and latin.read == ["a cat", "un café"]


@pytest.mark.backends
def test_without_tokens_one_encoder_reads_each_text():
    latin, others = Encoder(1.0), Encoder(2.0)
    features = EncoderByScript(latin, others).encode(["a cat", "猫", "un café"], tokens=False)
    assert set(features) == {"pooled"} and features["pooled"][:, 0].tolist() == [1.0, 2.0, 1.0]
    assert latin.read == ["a cat", "un café"] and others.read == ["猫"]


def test_without_latin_the_other_is_not_asked():
    latin = Encoder(1.0)
    np.testing.assert_array_equal(EncoderByScript(latin, Encoder(2.0)).encode(["猫"])["pooled"], 2.0)
    assert latin.read == []


def test_captions_are_cleaned_first():
    latin = Encoder(1.0)
    EncoderByScript(latin, Encoder(2.0)).encode(["ｃａｔ"], tokens=False)
    assert latin.read == ["cat"]
    with pytest.raises(TypeError, match="EncoderByScript: "):
        EncoderByScript(latin, Encoder(2.0)).encode("cat")


def test_what_is_cut_is_told_once(encoder):
    with pytest.warns(UserWarning, match="1 of 2 captions") as caught:
        EncoderByScript(encoder, encoder).encode(["a " * 20, "猫 a"])
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="1 of 1 captions") as caught:
        EncoderByScript(encoder, encoder).encode(["a " * 20, "猫 a"], tokens=False)
    assert len(caught) == 1


@pytest.mark.parametrize(
    "text, expected",
    [("a cat", True), ("Straße, 2 cafés!", True), ("猫", False), ("a 猫", False), ("кот", False), ("42 ❤", True)],
)
def test_is_latin(text, expected):
    assert is_latin(text) == expected


@pytest.mark.parametrize("text", ["a cat", "Straße, 2 cafés!", "猫", "a 猫", "кот", "42 ❤", "ﬁne", "Ａ"])
def test_the_graph_tells_scripts_apart_in_the_same_way(text, tensorflow_backend):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    told = EncoderByScript(Encoder(1.0), Encoder(2.0)).preprocess(tf.constant([text]))["is_latin"]
    assert told.numpy().tolist() == [is_latin(clean_prompt(text))]


def test_other_features_are_refused():
    with pytest.raises(ValueError, match="must have the same length; got 3 and 4"):
        EncoderByScript(Encoder(1.0), Encoder(2.0, pooled_dim=4))
