"""Unicode in a graph is Unicode in Python."""

import unicodedata

import pytest

from kgen.text.unicode_tensors import nfkc, spelled

tf = pytest.importorskip("tensorflow")

CHARACTERS = [chr(point) for point in range(1, 0x110000) if unicodedata.category(chr(point)) not in ("Cn", "Cs", "Co")]


def texts(strings):
    return [each.decode() for each in strings.numpy()]


def test_every_character():
    strings = [f"a{character}b" for character in CHARACTERS]
    assert texts(nfkc(tf.constant(strings))) == [unicodedata.normalize("NFKC", each) for each in strings]


def test_letters_and_marks_are_put_together():
    taken_apart = [unicodedata.normalize("NFD", character) for character in CHARACTERS]
    taken_apart = [each for each in taken_apart if len(each) > 1]
    assert len(taken_apart) > 10_000
    assert texts(nfkc(tf.constant(taken_apart))) == [unicodedata.normalize("NFKC", each) for each in taken_apart]


def test_marks_stay_with_their_own_string():
    assert texts(nfkc(tf.constant(["e", "\u0301a", "", "e\u0301"]))) == ["e", "\u0301a", "", "é"]


def test_bytes_that_are_no_unicode_are_replaced():
    assert texts(nfkc(tf.constant([b"a\xff cat"]))) == ["a\ufffd cat"]


def test_a_function_of_characters():
    strings = tf.constant(["Ab", "", "ß红"])
    assert texts(tf.function(lambda each: spelled(each, str.casefold))(strings)) == ["ab", "", "ss红"]


def test_no_strings():
    assert nfkc(tf.constant([], "string")).shape == (0,)
