import keras
import pytest

from kgen.text import PromptCleaner, clean_prompts

ENGLISH = PromptCleaner("en")
CHINESE = PromptCleaner("zh")


def test_without_stop_words_it_cleans_as_clean_prompts_does():
    prompts = ["  The\tred ａｐｐｌｅ ", "一只黑色的猫"]
    assert PromptCleaner().clean(prompts) == clean_prompts(prompts) == ["The red apple", "一只黑色的猫"]


@pytest.mark.parametrize(
    ("prompt", "wanted"),
    [
        ("This is the picture of a red apple", "picture red apple"),
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
    pytest.importorskip("tensorflow_text")
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
