"""A graph splits captions as KerasHub does, whatever the characters."""

import random
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

from kgen.captions import clean_prompt
from kgen.text.prompt_cleaner import clean_prompt_tensor
from kgen.text.text_models import token_inputs
from kgen.text.word_pieces import packed_pieces, word_piece_tokenizer, word_pieces

tf = pytest.importorskip("tensorflow")
models = pytest.importorskip("keras_hub").models

MARKS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [
    "a",
    "red",
    "re",
    "##d",
    "##dish",
    "apple",
    "##s",
    "红",
    "苹",
    "果",
    ",",
    "-",
    "ss",
    "é",
    "e",
    "É",
    "R",
    "##ed",
    "한",
]
LENGTH = 12


def preprocessor(lowercase=True, strip_accents=True, **kwargs):
    tokenizer = models.BertTokenizer([*MARKS, *PIECES], lowercase=lowercase, strip_accents=strip_accents, **kwargs)
    return models.BertTextEmbedderPreprocessor(tokenizer, sequence_length=LENGTH)


def in_graph(preprocessor, captions):
    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def split(captions):
        return word_pieces(preprocessor.tokenizer, LENGTH, clean_prompt_tensor(captions))

    tokens = split(tf.constant(captions, "string"))
    return {name: value.numpy() for name, value in tokens.items()}


def check(preprocessor, captions):
    clean = [clean_prompt(caption) for caption in captions]
    wanted = token_inputs(preprocessor, clean)
    for found in in_graph(preprocessor, captions), packed_pieces(preprocessor.tokenizer, LENGTH, clean):
        assert set(found) == set(wanted)
        for name, values in wanted.items():
            wrong = np.flatnonzero(np.any(found[name] != np.asarray(values), axis=1))
            assert len(wrong) == 0, f"{name} of {[captions[i] for i in wrong[:9]]}"


def test_by_hand():
    found = in_graph(preprocessor(), ["Reds, a reddish APPLE", "un known", ""])
    ids = {word: number for number, word in enumerate([*MARKS, *PIECES])}

    def numbers(words):
        row = [ids[word] for word in ["[CLS]", *words, "[SEP]"]]
        return row + [0] * (LENGTH - len(row))

    wanted = [["red", "##s", ",", "a", "red", "##dish", "apple"], ["[UNK]", "[UNK]"], []]
    np.testing.assert_array_equal(found["token_ids"], [numbers(words) for words in wanted])
    np.testing.assert_array_equal(found["padding_mask"].sum(axis=1), [9, 4, 2])


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("strip_accents", [True, False])
def test_characters_of_the_first_plane(lowercase, strip_accents):
    characters = map(chr, [*range(1, 0x300), *range(0x300, 0x10000, 5)])
    characters = [each for each in characters if unicodedata.category(each) not in ("Cn", "Cs") and clean_prompt(each)]
    check(preprocessor(lowercase, strip_accents), [f"a{each}red {each}" for each in characters])


def test_captions_of_any_length():
    numbers = random.Random(0)
    letters = "aredishple -,É é\u0301红苹果\u3000ß'한\u200d😀"
    captions = ["".join(numbers.choices(letters, k=numbers.randint(1, 40))) for _ in range(2000)]
    check(preprocessor(), [each for each in captions if clean_prompt(each)])


def test_a_word_of_a_hundred_bytes_is_read_and_a_longer_one_is_not():
    check(preprocessor(), ["red" + "s" * 97, "red" + "s" * 98, "a " + "é" * 60])


def test_whose_tokenizer_it_is():
    def tokenizer_of(preprocessor):
        return word_piece_tokenizer(SimpleNamespace(preprocessor=preprocessor))

    plain = preprocessor()
    assert tokenizer_of(plain) is plain.tokenizer
    # Marks within a caption would be split.
    assert tokenizer_of(preprocessor(special_tokens_in_strings=True)) is None
    assert word_piece_tokenizer(object()) is None
