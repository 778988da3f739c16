"""tokenizer.json, as the library tokenizers reads it."""

import warnings

import numpy as np
import pytest

from kgen.text.tokenizer_file import tokenizer_json
from tests.models import tiny_text

TEXTS = [
    "a red picture",
    "  A  RED\tpicture ",
    "Stra\u00dfe \u00c9CLAIR, na\u00efve\u200b \uff52\uff45\uff44!?",
    "\u7ea2\u82f9\u679c and \u732b",
    "it's [CLS] half-baked \u2026",
    "\U0001f469\u200d\U0001f680 rocket",
    " ".join(["red"] * 60),
    "red" * 20,
]


def test_the_same_ids():
    tokenizers = pytest.importorskip("tokenizers")
    encoder = tiny_text.text_encoder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = encoder.tokenize(TEXTS)
    found = tokenizers.Tokenizer.from_str(tokenizer_json(encoder)).encode_batch(TEXTS)
    np.testing.assert_array_equal([each.ids for each in found], expected["token_ids"])
    np.testing.assert_array_equal([each.attention_mask for each in found], expected["padding_mask"])


def test_no_word_pieces():
    assert tokenizer_json(object()) is None
