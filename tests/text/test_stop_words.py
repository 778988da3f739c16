from kgen.text import clean_prompt
from kgen.text.stop_words import KEPT, STOP_WORDS


def test_the_lists_are_clean_and_words_that_pictures_show_are_not_on_them():
    for words in STOP_WORDS.values():
        assert len(set(words)) == len(words) > 15 and all(clean_prompt(word) == word.lower() for word in words)
    assert not {"no", "not", "without", "in", "on", "above", "below", "two", "red", "没有", "两个"} & {
        *STOP_WORDS["en"],
        *STOP_WORDS["zh"],
    }
    assert all(any(word in kept for word in STOP_WORDS["zh"]) for kept in KEPT)
