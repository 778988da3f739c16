"""Unicode in a TensorFlow graph, with TensorFlow's own operations: it runs without TensorFlow Text."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable

import numpy as np

from kgen.types import Tensor

# No Unicode letter is made of more than a base letter and three marks, as in Greek.
_MARKS = 3
_BITS = 21  # of a code point


def nfkc(strings: Tensor) -> Tensor:
    """`tf.string` tensor (N,) in Unicode's NFKC form, as `unicodedata.normalize` gives it.

    Marks of one letter are not sorted: in real text they are in order. Bytes that are not UTF-8 become U+FFFD.
    """
    import tensorflow as tf

    def changed():
        points = _decode(spelled(strings, _nfkc))
        pairs, wholes = map(tf.constant, _compositions())
        for _ in range(_MARKS):
            points = _composed(points, pairs, wholes)
        return tf.strings.unicode_encode(points, "UTF-8")

    return unless_ascii(strings, lambda: tf.identity(strings), changed)


def unless_ascii(strings: Tensor, plain: Callable[[], Tensor], full: Callable[[], Tensor]) -> Tensor:
    """The result of `plain` if all characters are ASCII, which saves a quarter of the time; else that of `full`."""
    import tensorflow as tf

    return tf.cond(tf.reduce_all(tf.strings.regex_full_match(strings, r"[\x00-\x7f]*")), plain, full)


def spelled(strings: Tensor, function: Callable[[str], str]) -> Tensor:
    """`tf.string` tensor (N,) with `function` applied to each character; the function must be hashable."""
    import tensorflow as tf

    changed, spellings = _table(function)
    if not len(changed):
        return strings
    points = _decode(strings)
    characters = tf.strings.unicode_encode(points.values[:, None], "UTF-8")
    row, known = _found(changed, points.values)
    characters = tf.where(known, tf.gather(tf.constant(spellings), row), characters)
    return tf.strings.reduce_join(points.with_values(characters), axis=1)


def _decode(strings):
    import tensorflow as tf

    return tf.strings.unicode_decode(strings, "UTF-8")


def _found(keys, values):
    """The positions of values in sorted keys, and whether they are there."""
    import tensorflow as tf

    row = tf.minimum(tf.searchsorted(keys, values), keys.shape[0] - 1)
    return row, tf.gather(keys, row) == values


def _composed(points, pairs, wholes):
    """Ragged code points, with two neighbours joined where Unicode has one code point for both."""
    import tensorflow as tf

    rows = points.value_rowids()
    following = tf.concat([points.values[1:], [0]], 0)
    same_row = tf.concat([rows[1:] == rows[:-1], [False]], 0)
    row, known = _found(pairs, tf.cast(points.values, "int64") * 2**_BITS + tf.cast(following, "int64"))
    joined = known & same_row
    values = tf.where(joined, tf.gather(wholes, row), points.values)
    kept = ~tf.concat([[False], joined], 0)[:-1]
    return tf.RaggedTensor.from_value_rowids(
        tf.boolean_mask(values, kept), tf.boolean_mask(rows, kept), nrows=points.nrows(), validate=False
    )


# === Tables, made once ===
def _nfkc(character):
    return unicodedata.normalize("NFKC", character)


def _characters():
    """The characters of Unicode's first three planes: no other has a second form. UTF-8 has no surrogates."""
    return (chr(point) for point in range(0x30000) if not 0xD800 <= point < 0xE000)


@functools.cache
def _table(function):
    """The code points that a function changes, sorted, and their new spellings."""
    spellings = {character: function(character) for character in _characters()}
    changed = [character for character, spelling in spellings.items() if spelling != character]
    return np.array([ord(each) for each in changed], "int32"), np.array([spellings[each].encode() for each in changed])


@functools.cache
def _compositions():
    """Each pair of code points as one number, sorted, and the code point that the pair makes."""
    whole_of = {}
    for character in _characters():
        halves = unicodedata.normalize("NFD", character)
        for cut in range(1, len(halves)):
            first, second = unicodedata.normalize("NFC", halves[:cut]), halves[cut:]
            if len(first) == len(second) == 1 and unicodedata.normalize("NFC", first + second) == character:
                whole_of[(ord(first) << _BITS) + ord(second)] = ord(character)
    pairs = np.array(sorted(whole_of), "int64")
    return pairs, np.array([whole_of[pair] for pair in pairs], "int32")
