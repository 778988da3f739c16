"""A text encoder's tokenizer as a file that other programming languages read."""

from __future__ import annotations

import json
from typing import Any

from kgen.captions import INVISIBLE
from kgen.text.word_pieces import word_piece_tokenizer

# KerasHub folds case, which changes these letters more than lower-casing does. Other such letters are very rare.
_FOLDED = (("\u00df", "ss"), ("\u03c2", "\u03c3"))


def tokenizer_json(encoder: Any) -> str | None:
    """The tokenizer of a text encoder in the format of the tokenizers library.

    It cleans a prompt, splits it into word pieces, and gives `sequence_length` ids with the marks of start and end,
    and the mask of padding: what `TextEncoder.tokenize` gives. `examples/browser/tokenizer.js` reads it too.

    Args:
        encoder: a `TextEncoder`.

    Returns:
        JSON; or None if the tokenizer is not of word pieces, or the encoder has more than one.

    Example:

    ```python
    ids = tokenizers.Tokenizer.from_str(tokenizer_json(model.text_encoder)).encode("a cat").ids
    ```
    """
    tokenizer = word_piece_tokenizer(encoder)
    if tokenizer is None:
        return None
    vocabulary = {word: number for number, word in enumerate(tokenizer.get_vocabulary())}
    start, end, padding = tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token
    length = encoder.sequence_length
    marks = {each: {"id": each, "ids": [vocabulary[each]], "tokens": [each]} for each in (start, end)}
    caption = {"Sequence": {"id": "A", "type_id": 0}}
    first, last = ({"SpecialToken": {"id": each, "type_id": 0}} for each in (start, end))
    second = {"Sequence": {"id": "B", "type_id": 0}}
    folded = _FOLDED if tokenizer.lowercase else ()
    described = {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": length, "strategy": "LongestFirst", "stride": 0},
        "padding": {
            "strategy": {"Fixed": length},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": vocabulary[padding],
            "pad_type_id": 0,
            "pad_token": padding,
        },
        "added_tokens": [],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "NFKC"},
                {"type": "Replace", "pattern": {"Regex": INVISIBLE}, "content": ""},
                {"type": "Replace", "pattern": {"Regex": r"[\p{Cc}\p{Cf}]"}, "content": " "},
                {
                    "type": "BertNormalizer",
                    "clean_text": False,
                    "handle_chinese_chars": True,
                    "strip_accents": tokenizer.strip_accents,
                    "lowercase": tokenizer.lowercase,
                },
                *({"type": "Replace", "pattern": {"String": old}, "content": new} for old, new in folded),
            ],
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [first, caption, last],
            "pair": [first, caption, last, second, last],
            "special_tokens": marks,
        },
        "decoder": {"type": "WordPiece", "prefix": tokenizer.suffix_indicator, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": tokenizer.oov_token,
            "continuing_subword_prefix": tokenizer.suffix_indicator,
            "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }
    return json.dumps(described, ensure_ascii=False, indent=1)
