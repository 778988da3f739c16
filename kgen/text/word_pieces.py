"""Word pieces of strings [Wu et al. 2016]: in a TensorFlow graph, with its own operations, and outside of one."""

from __future__ import annotations

import functools
import unicodedata
import warnings
from typing import Any

import numpy as np

from kgen.text.unicode_tensors import spelled, unless_ascii
from kgen.types import Array, Tensor

# As KerasHub and the library tokenizers split: each punctuation mark and each Chinese character is a word of its own.
_APART = (
    r"([!-/:-@\[-`{-~\p{P}\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{20000}-\x{2A6DF}\x{2A700}-\x{2B73F}\x{2B740}-\x{2B81F}"
    r"\x{2B820}-\x{2CEAF}\x{F900}-\x{FAFF}\x{2F800}-\x{2FA1F}])"
)
_SPACES = r"[\s\p{Cc}\p{Cf}]+"
# Invisible characters besides those in _SPACES; case folding drops them.
_IGNORED = (
    r"[\x{034F}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180D}\x{180F}\x{3164}\x{FE00}-\x{FE0F}\x{FFA0}"
    r"\x{E0100}-\x{E01EF}]"
)
_LONGEST_WORD = 100  # bytes; a longer one is unknown


def word_piece_tokenizer(encoder: Any) -> Any:
    """A text encoder's tokenizer, if it is of word pieces with marks of start, end and padding; or None."""
    tokenizer: Any = getattr(getattr(encoder, "preprocessor", None), "tokenizer", None)
    marks = ("cls_token", "sep_token", "pad_token")
    if not hasattr(tokenizer, "suffix_indicator") or not all(getattr(tokenizer, mark, None) for mark in marks):
        return None
    return None if tokenizer.special_tokens_in_strings else tokenizer


def word_pieces(tokenizer: Any, sequence_length: int, captions: Tensor) -> dict[str, Tensor]:
    """`{"token_ids", "padding_mask", "segment_ids"}` of captions, as KerasHub's preprocessor gives them.

    Each word becomes the longest piece of the vocabulary that it begins with, then the longest that the rest begins
    with, and so on.

    Args:
        tokenizer: as `word_piece_tokenizer` gives it.
        sequence_length: length of the result.
        captions: `tf.string` tensor (N,), as `clean_prompt_tensor` gives it.

    Returns:
        int32 tensors (N, sequence_length).
    """
    import tensorflow as tf

    vocabulary = tokenizer.get_vocabulary()
    start, end, padding, unknown = (
        vocabulary.index(each)
        for each in (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token, tokenizer.oov_token)
    )
    words = _words(captions, tokenizer)
    ids = _pieces(words.values, _Vocabulary(vocabulary, tokenizer.suffix_indicator), unknown)
    is_piece = ids >= 0
    rows = tf.boolean_mask(tf.broadcast_to(words.value_rowids()[:, None], tf.shape(ids)), is_piece)
    pieces = tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(ids, is_piece), rows, nrows=words.nrows(), validate=False
    )
    mark = tf.ones([words.nrows(), 1], "int32")
    pieces = tf.concat([mark * start, pieces[:, : sequence_length - 2], mark * end], axis=1)
    token_ids = pieces.to_tensor(padding, shape=[None, sequence_length])
    mask = tf.sequence_mask(pieces.row_lengths(), sequence_length, "int32")
    return {"token_ids": token_ids, "padding_mask": mask, "segment_ids": tf.zeros_like(token_ids)}


def packed_pieces(tokenizer: Any, sequence_length: int, captions: list[str]) -> dict[str, Array]:
    """As `word_pieces`, for a list of N strings, in NumPy and without TensorFlow."""
    start, end, padding = map(tokenizer.token_to_id, (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token))
    token_ids = np.full((len(captions), sequence_length), padding, "int32")
    mask = np.zeros_like(token_ids)
    for row, pieces in enumerate(tokenizer.tokenize(captions)):
        pieces = [start, *np.asarray(pieces)[: sequence_length - 2], end]
        token_ids[row, : len(pieces)], mask[row, : len(pieces)] = pieces, 1
    return {"token_ids": token_ids, "padding_mask": mask, "segment_ids": np.zeros_like(token_ids)}


def warn_of_unknown_words(tokenizer: Any, captions: list[str], token_ids: Array) -> None:
    """Warns about captions without any word of the vocabulary; a tokenizer of another kind (None) knows all words."""
    if tokenizer is None or not (token_ids == tokenizer.token_to_id(tokenizer.oov_token)).any():
        return
    marks = (tokenizer.cls_token, tokenizer.sep_token, tokenizer.pad_token, tokenizer.oov_token)
    rows = np.flatnonzero(np.isin(token_ids, [tokenizer.token_to_id(mark) for mark in marks]).all(axis=1))
    if len(rows):
        warnings.warn(
            f"TextEncoder: {len(rows)} of {len(captions)} captions have no word that the encoder knows, so it cannot "
            f"tell them apart. The first is {captions[rows[0]]!r}.",
            stacklevel=3,
        )


def _words(captions, tokenizer):
    """Ragged strings (N, None)."""
    import tensorflow as tf

    lowercase, strip_accents = bool(tokenizer.lowercase), bool(tokenizer.strip_accents)
    captions = unless_ascii(
        captions,
        lambda: tf.strings.lower(captions) if lowercase else tf.identity(captions),
        lambda: spelled(captions, _spelling(lowercase, strip_accents)),
    )
    captions = tf.strings.regex_replace(captions, _APART, r" \1 ")
    if tokenizer.lowercase:
        captions = tf.strings.regex_replace(captions, _IGNORED, "")
    return tf.strings.split(tf.strings.regex_replace(captions, _SPACES, " "))


@functools.cache
def _spelling(lowercase, strip_accents):
    """The function that spells a character; cached, so that its table is made only once."""

    def spelling(character):
        if strip_accents:
            character = "".join(c for c in unicodedata.normalize("NFD", character) if unicodedata.category(c) != "Mn")
        if lowercase:
            character = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", character).casefold())
        return character

    return spelling


class _Vocabulary:
    """Words and their numbers, as constants of a graph: sorted by hash."""

    def __init__(self, words, suffix_indicator):
        import tensorflow as tf

        self.suffix_indicator = suffix_indicator
        self.longest = max(len(word.removeprefix(suffix_indicator)) for word in words)
        with tf.init_scope():
            hashes = self._hash(tf.constant(words)).numpy()
        order = np.argsort(hashes)
        self.hashes, self.numbers = hashes[order], order.astype("int32")
        self.words = np.array([words[number].encode() for number in order])

    def __call__(self, words):
        """The numbers of words; -1 for unknown words."""
        import tensorflow as tf

        row = tf.minimum(tf.searchsorted(self.hashes, tf.reshape(self._hash(words), [-1])), len(self.hashes) - 1)
        row = tf.reshape(row, tf.shape(words))
        return tf.where(tf.gather(self.words, row) == words, tf.gather(self.numbers, row), -1)

    @staticmethod
    def _hash(words):
        import tensorflow as tf

        # TensorFlow guarantees that its values never change.
        return tf.strings.to_hash_bucket_fast(words, 2**62)


def _pieces(words, vocabulary, unknown):
    """Numbers of the pieces of words, (W, P); -1 stands for none."""
    import tensorflow as tf

    size = tf.strings.length(words, unit="UTF8_CHAR")
    lengths = tf.range(1, vocabulary.longest + 1)[None]

    def piece(start, found, failed):
        shape = [tf.size(words), vocabulary.longest]
        begin = tf.broadcast_to(tf.minimum(start, size)[:, None], shape)
        pieces = tf.strings.substr(
            tf.broadcast_to(words[:, None], shape), begin, tf.broadcast_to(lengths, shape), unit="UTF8_CHAR"
        )
        pieces = tf.where(begin > 0, tf.strings.join([vocabulary.suffix_indicator, pieces]), pieces)
        numbers = vocabulary(pieces)
        # Past the end of its word, `substr` gives a shorter or empty piece: these do not count.
        fits = (numbers >= 0) & (begin + lengths <= size[:, None])
        length = tf.reduce_max(tf.where(fits, lengths, 0), axis=1)
        number = tf.gather(numbers, tf.maximum(length - 1, 0), batch_dims=1)
        found = tf.concat([found, tf.where(length > 0, number, -1)[:, None]], axis=1)
        return start + length, found, failed | ((length == 0) & (start < size))

    def goes_on(start, found, failed):
        return tf.reduce_any((start < size) & ~failed)

    start = tf.zeros_like(size)
    failed = tf.strings.length(words) > _LONGEST_WORD
    found = tf.fill([tf.size(words), 0], -1)
    shapes = [start.shape, tf.TensorShape([None, None]), failed.shape]
    _, found, failed = tf.while_loop(goes_on, piece, [start, found, failed], shapes)
    whole = tf.where(failed[:, None], -1, found)
    return tf.concat([whole, tf.where(failed, unknown, -1)[:, None]], axis=1)
