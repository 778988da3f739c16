import pytest

from kgen.captions import caption_fault, clean_prompt


@pytest.mark.parametrize(
    ("caption", "fault"),
    [
        ("a cat", ""),
        ("\U0001f600", ""),
        ("", "empty caption"),
        ("\u200b \ufeff", "empty caption"),
        ("a cat \ud83d", "not Unicode (half of a surrogate pair)"),
    ],
)
def test_what_is_wrong_with_a_caption(caption, fault):
    assert caption_fault(caption) == fault


def test_one_spelling():
    assert clean_prompt("  a\u00a0r\u200bed\n \uff41pple \ud83d") == "a red apple"
