import numpy as np
import pytest

from kgen.inputs.prompt_input import PromptInput


class Encoder:
    """Counts letters, and what it is asked for."""

    def __init__(self):
        self.asked = []

    def encode(self, texts, batch_size, verbose, tokens):
        self.asked += texts
        return {"pooled": np.array([[len(text)] for text in texts], "float32")}


class Twice:
    def expand(self, texts):
        return [f"{text} {text}" for text in texts]


class WithoutSpaces:
    def clean(self, texts, owner):
        return [text.replace(" ", "") for text in texts]


def test_expanded_then_cleaned():
    intake = PromptInput(Encoder(), WithoutSpaces(), Twice())
    assert intake.read(["a  b"], "Owner") == ["aba b".replace(" ", "")] == ["abab"]
    assert intake.read(["a  b"], "Owner", expand=False) == ["ab"]
    with pytest.raises(ValueError, match="^Owner: got an empty list"):
        intake.read([], "Owner")


def test_each_text_is_encoded_once():
    intake = PromptInput(Encoder(), expander=Twice())
    features = intake.features(["cat", "horse", "cat"], images_each=2)
    assert intake.encoder.asked == ["cat", "horse"]
    assert features["pooled"][:, 0].tolist() == [3, 3, 5, 5, 3, 3]


def test_the_memory_chooses_away_from_negative_prompts():
    intake = PromptInput(Encoder(), expander=Twice(), memory=lambda x, unlike, guidance: guidance * x - unlike)
    features = intake.remembered(intake.features(["cat", "horse", "cat"], "dogs", 2.0, images_each=2))
    assert intake.encoder.asked == ["cat", "horse", "dogs"]
    assert set(features) == {"pooled"} and features["pooled"][:, 0].tolist() == [2, 2, 6, 6, 2, 2]
    assert PromptInput(Encoder()).remembered({"pooled": 1}) == {"pooled": 1}
