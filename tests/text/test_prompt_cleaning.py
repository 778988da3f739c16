import numpy as np
import pytest

from kgen.text.prompt_cleaning import clean_prompt, clean_prompt_tensor, clean_prompts

PROMPTS = [
    "a red apple",
    "  two\tspaces \n here  ",
    "Ｆｕｌｌ　ｗｉｄｔｈ",
    "no\u00a0break\u2003em\u2028line\x85next\x1funit",
    "ﬁne ½ ①",
    "cafe\u0301 and café",
    "一个红苹果，在桌子上。",
    "🐈‍⬛ black cat",
    "ＵＰＰＥＲ ﾊﾝｶｸ",
    "\ufeffzero\u200bwidth \u202eturned\u202c soft\u00adhyphen\x00\x07\x85\x9f bell",
    "می\u200cخواهم",
]


def test_normal_form_and_white_space():
    assert clean_prompt("  a\u00a0ｒｅｄ\n\n apple ") == "a red apple"
    assert clean_prompt("cafe\u0301") == "caf\u00e9"
    assert clean_prompt("ﬁ ①") == "fi 1"


def test_what_nobody_sees_goes_but_for_joiners():
    assert clean_prompt("\ufeffa\x07 r\u200bed \u202eapple\u202c\u00ad") == "a red apple"
    assert clean_prompt("half \ud83d a pair") == "half a pair"
    assert clean_prompt("🐈\u200d⬛") == "🐈\u200d⬛" and clean_prompt("می\u200cخواهم") == "می\u200cخواهم"


def test_cleaning_twice_changes_nothing():
    assert [clean_prompt(clean_prompt(p)) for p in PROMPTS] == [clean_prompt(p) for p in PROMPTS]


def test_graph_cleans_as_python_does():
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    cleaned = tf.function(clean_prompt_tensor)(tf.constant(PROMPTS)).numpy()
    assert [c.decode() for c in cleaned] == [clean_prompt(p) for p in PROMPTS]


def test_every_white_space_of_python_is_one_in_the_graph():
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    spaces = [chr(i) for i in range(0x110000) if chr(i).isspace()]
    cleaned = clean_prompt_tensor(tf.constant([f"a{space}b{space}" for space in spaces])).numpy()
    assert len(spaces) > 20 and all(c == b"a b" for c in cleaned)


def test_a_list_a_tuple_an_array_and_bytes_are_captions():
    for captions in (["a  cat", "a dog"], ("a  cat", "a dog"), np.array(["a  cat", "a dog"]), [b"a  cat", b"a dog"]):
        assert clean_prompts(captions) == ["a cat", "a dog"]


@pytest.mark.parametrize(
    "captions, error, words",
    [
        ("a cat", TypeError, "list of strings"),
        (None, TypeError, "list of strings"),
        ([], ValueError, "empty list"),
        (["a cat", 3], TypeError, "caption 1 must be a string; got 3, a int"),
        (["a cat", None], TypeError, "caption 1"),
        (["a cat", ""], ValueError, "caption 1 is empty"),
        ([" \u3000\n"], ValueError, "caption 0 is empty"),
    ],
)
def test_what_is_no_caption_is_named(captions, error, words):
    with pytest.raises(error, match=words) as caught:
        clean_prompts(captions, "Owner")
    assert str(caught.value).startswith("Owner: ") and "\n" not in str(caught.value)
