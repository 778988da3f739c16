import keras
import numpy as np
import pytest

from kgen.text import PromptCleaner
from kgen.text.prompt_cleaner import KEPT, STOP_WORDS, clean_prompt, clean_prompt_tensor, clean_prompts

ENGLISH = PromptCleaner("en")
CHINESE = PromptCleaner("zh")
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
    cleaned = tf.function(clean_prompt_tensor)(tf.constant(PROMPTS)).numpy()
    assert [c.decode() for c in cleaned] == [clean_prompt(p) for p in PROMPTS]


def test_every_white_space_of_python_is_one_in_the_graph():
    tf = pytest.importorskip("tensorflow")
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


# === Stop words ===


def test_without_stop_words_it_cleans_as_clean_prompts_does():
    prompts = ["  The\tred ａｐｐｌｅ ", "一只黑色的猫"]
    assert PromptCleaner().clean(prompts) == clean_prompts(prompts) == ["The red apple", "一只黑色的猫"]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("This is the image of a red apple", "image red apple"),
        ("THE cat and The dog", "cat dog"),
        ("a an the of cat", "cat"),
        ("a theatre in Athens", "theatre in Athens"),
        ("no hat, above the head, not below", "no hat, above head, not below"),
        ("the", "the"),
        ("Is this it", "Is this it"),
    ],
)
def test_english(prompt, wanted):
    assert ENGLISH.clean([prompt]) == [wanted]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("这是一只黑色的猫", "黑色猫"),
        ("一个 红色的 苹果", "红色 苹果"),
        ("三只猫和两只狗", "三只猫和两只狗"),
        ("黄色的的士", "黄色的士"),
        ("没有的", "没有"),
        ("的", "的"),
    ],
)
def test_chinese(prompt, wanted):
    assert CHINESE.clean([prompt]) == [wanted]


def test_a_list_of_words_of_several_scripts():
    cleaner = PromptCleaner(["Der", "so to speak", "の"])
    assert cleaner.clean(["der Hund so to speak 猫の絵 derb"]) == ["Hund 猫絵 derb"]


@pytest.mark.parametrize("cleaner", [PromptCleaner(), ENGLISH, CHINESE, PromptCleaner(["der", "so to speak", "の"])])
def test_a_graph_cleans_as_python_does(cleaner):
    tf = pytest.importorskip("tensorflow")
    prompts = ["The  cat and THE dog", "这是一只黄色的的士", "der so to speak の猫", "the", "的", "ａ b\u200bc\x07 of"]
    cleaned = tf.function(cleaner.clean_tensor)(tf.constant(prompts)).numpy()
    assert [text.decode() for text in cleaned] == cleaner.clean(prompts)


def test_configuration():
    for stop_words in (None, "zh", ["der", "das"]):
        config = keras.saving.serialize_keras_object(PromptCleaner(stop_words))
        assert config["registered_name"] == "kgen>PromptCleaner"
        again = keras.saving.deserialize_keras_object(config)
        assert again.get_config() == {"stop_words": stop_words}
    assert again.clean(["das Haus"]) == ["Haus"]


@pytest.mark.parametrize(
    ("stop_words", "said"),
    [("de", "must be 'en', 'zh', a list of words, or None; got 'de'"), (["a", 3], "got 3"), ([" "], "got ' '")],
)
def test_what_is_no_list_of_stop_words(stop_words, said):
    with pytest.raises(ValueError, match=f"PromptCleaner: .*{said}"):
        PromptCleaner(stop_words)


def test_prompts_are_checked():
    with pytest.raises(TypeError, match="^Owner: captions must be a list"):
        ENGLISH.clean("a cat", "Owner")
    with pytest.raises(ValueError, match="^PromptCleaner: caption 0 is empty"):
        ENGLISH.clean([" "])


def test_the_lists_are_clean_and_words_that_images_show_are_not_on_them():
    for words in STOP_WORDS.values():
        assert len(set(words)) == len(words) > 15 and all(clean_prompt(word) == word.lower() for word in words)
    assert not {"no", "not", "without", "in", "on", "above", "below", "two", "red", "没有", "两个"} & {
        *STOP_WORDS["en"],
        *STOP_WORDS["zh"],
    }
    assert all(any(word in kept for word in STOP_WORDS["zh"]) for kept in KEPT)


def test_a_prompt_that_is_very_long_is_refused():
    assert clean_prompts(["a" * 20_000]) == ["a" * 20_000]
    with pytest.raises(ValueError, match="^X: caption 1 has 1,000,000 characters; at most 20,000 are allowed.$"):
        clean_prompts(["a cat", "\u0301" * 1_000_000], "X")
