import json
import warnings

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencepiece")

from kgen.text import PromptExpander  # noqa: E402
from tests.text import tiny_language_models as tiny  # noqa: E402

SHORT = {"template": "See {prompt}:", "max_length": 40, "temperature": 3.0}


@keras.saving.register_keras_serializable(package="tests")
def shout(prompt):
    return f"{prompt.upper()} on a sofa"


@pytest.fixture(scope="module")
def language_model():
    keras.utils.set_random_seed(0)
    model = tiny.LANGUAGE_MODELS["llama"]()
    # To compile it would take longer than to run it.
    model.run_eagerly = True
    return model


# === Language models ===
@pytest.mark.parametrize("family", ["gpt2", "gemma", "phi3", "qwen3", "gemma3"])
def test_families(family):
    keras.utils.set_random_seed(0)
    model = tiny.LANGUAGE_MODELS[family]()
    model.run_eagerly = family != "qwen3"
    before = model.sampler, model.generate_function
    expander = PromptExpander(model, **SHORT)
    with warnings.catch_warnings():
        # Random weights may write no word, which is a warning; a model that fails is another one.
        warnings.filterwarnings("error", message=".*Error")
        (text,) = expander.expand(["a red cat"])
    assert text.startswith("a red cat") and "See" not in text
    assert (model.sampler, model.generate_function) == before


@pytest.mark.backends
def test_the_same_seed_gives_the_same_text_in_any_company(language_model):
    prompts = ["a red cat", "a dog by a tree", "two birds"]
    together = PromptExpander(language_model, **SHORT).expand(prompts)
    assert all(len(text) > len(prompt) + 5 for text, prompt in zip(together, prompts))
    alone = PromptExpander(language_model, **SHORT, batch_size=1)
    assert [alone.expand([prompt])[0] for prompt in reversed(prompts)] == together[::-1]
    assert PromptExpander(language_model, **SHORT, seed=1).expand(prompts[:1]) != together[:1]


def test_an_expansion_is_remembered(language_model, tmp_path):
    file = tmp_path / "expansions.jsonl"
    first = PromptExpander(language_model, **SHORT, cache=file).expand(["a red  cat", "a dog", "a red cat"])
    assert first[0] == first[2] and len(file.read_text().splitlines()) == 2
    with file.open("a") as lines:
        lines.write('\n["half a li')
    again = PromptExpander(language_model, **SHORT, cache=file)
    again._write = None  # whoever calls it fails
    assert again.expand(["a dog", "a red cat"]) == [first[1], first[0]]
    # Of another seed nothing is known.
    other = PromptExpander(language_model, **SHORT, cache=file, seed=1)
    other.expand(["a dog"])
    assert len(file.read_text().splitlines()) == 4
    third = PromptExpander(language_model, **SHORT, cache=file, seed=1)
    third._write = None
    assert third.expand(["a dog"]) == other.expand(["a dog"])


# === Functions and names ===
@pytest.mark.parametrize(
    ("prompt", "written", "wanted"),
    [
        ("a cat", "on a sofa, asleep", "a cat, on a sofa, asleep"),
        ("a cat", "A cat. It sleeps", "a cat, It sleeps"),
        ("a cat.", "  it\nsleeps ", "a cat. it sleeps"),
        ("一只猫", "在睡觉", "一只猫，在睡觉"),
        ("一只猫", "一只猫在睡觉", "一只猫，在睡觉"),
        ("a cat", "a caterpillar", "a cat, a caterpillar"),
    ],
)
def test_the_prompt_stays_in_front(prompt, written, wanted):
    assert PromptExpander(lambda _: written).expand([prompt]) == [wanted]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("\n a black cat. It sleeps on a so", "a cat, a black cat."),
        ("black, asleep, on a so", "a cat, black, asleep"),
        ("black fur", "a cat, black fur"),
        ("他在睡觉。他在", "a cat, 他在睡觉。"),
        ("black\n\nQ: what else?", "a cat, black"),
    ],
)
def test_what_a_model_wrote_is_cut_where_it_ends(language_model, monkeypatch, written, wanted):
    expander = PromptExpander(language_model)
    monkeypatch.setattr(expander, "_write", lambda prompts: [written])
    assert expander.expand(["a cat"]) == [wanted]


def test_what_fails_stays_as_it_is_and_is_tried_again():
    answers = {"a cat": RuntimeError("out of\nmemory"), "a dog": "...", "a bird": "in a tree", "a fish": 3}

    def answer(prompt):
        if isinstance(answers[prompt], Exception):
            raise answers[prompt]
        return answers[prompt]

    expander = PromptExpander(answer, batch_size=1)
    with pytest.warns(UserWarning, match="3 of 4 .* 'a cat' because of RuntimeError: out of memory") as caught:
        assert expander.expand(list(answers)) == ["a cat", "a dog", "a bird, in a tree", "a fish"]
    assert [each.filename for each in caught] == [__file__]
    answers["a cat"] = "asleep"
    assert expander.expand(["a cat"]) == ["a cat, asleep"]


def test_a_name_that_leads_nowhere_is_a_warning_and_is_saved_as_a_name():
    expander = PromptExpander("no/such/model")
    with pytest.warns(UserWarning, match="1 of 1 prompts were not expanded; 'a cat' because of"):
        assert expander.expand(["a cat"]) == ["a cat"]
    assert expander.get_config()["language_model"] == "no/such/model" and not expander.variables


def test_a_preset_directory(language_model, tmp_path):
    language_model.save_to_preset(str(tmp_path / "preset"))
    by_name = PromptExpander(tmp_path / "preset", **SHORT)
    assert by_name.expand(["a red cat"]) == PromptExpander(language_model, **SHORT).expand(["a red cat"])
    assert not by_name.variables


# === Configuration ===
def test_a_function_is_saved_by_its_name():
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(PromptExpander(shout, seed=3))))
    again = keras.saving.deserialize_keras_object(config)
    assert again.seed == 3 and again.expand(["a cat"]) == ["a cat, on a sofa"]
    for function in (lambda prompt: prompt, str.upper):
        with pytest.raises(ValueError, match="cannot be saved; register it with @keras.saving.register"):
            PromptExpander(function).get_config()


@pytest.mark.parametrize(
    ("kwargs", "error", "said"),
    [
        ({"language_model": 3}, TypeError, "must be a KerasHub CausalLM, .*; got int"),
        ({"language_model": keras.layers.Dense(1)}, TypeError, "got Dense"),
        ({"template": "an image"}, ValueError, r"template must be a string with \{prompt\} in it; got 'an image'"),
        ({"max_length": 0}, ValueError, "max_length must be an integer of at least 1; got 0"),
        ({"top_k": 2.0}, ValueError, "top_k must be"),
        ({"batch_size": True}, ValueError, "batch_size must be"),
        ({"temperature": 0}, ValueError, "temperature must be positive; got 0"),
        ({"seed": -1}, ValueError, "seed must be an integer from 0"),
    ],
)
def test_arguments(kwargs, error, said):
    with pytest.raises(error, match=f"PromptExpander: .*{said}"):
        PromptExpander(**{"language_model": shout, **kwargs})


def test_a_language_model_needs_its_preprocessor(language_model):
    model = type(language_model)(backbone=language_model.backbone, preprocessor=None)
    with pytest.raises(TypeError, match="LlamaCausalLM needs its preprocessor"):
        PromptExpander(model)


def test_prompts_are_checked():
    with pytest.raises(TypeError, match="PromptExpander: captions must be a list"):
        PromptExpander(shout).expand("a cat")
    assert np.size(PromptExpander(shout).expand(["a cat"])) == 1


# === Files from somewhere else ===
def test_a_file_does_not_say_where_to_write(tmp_path):
    expander = PromptExpander("gpt2_base_en", cache=tmp_path / "cache.jsonl")
    config = expander.get_config()
    assert config["cache"] is None and str(tmp_path) not in str(config)
    with pytest.warns(UserWarning, match="wants to write to '/etc/evil', which is ignored"):
        loaded = PromptExpander.from_config({**config, "cache": "/etc/evil"})
    assert loaded.cache is None and loaded.language_model == "gpt2_base_en"
    with pytest.warns(UserWarning, match="with the language model at 'hf://evil/model'"):
        PromptExpander.from_config({**config, "language_model": "hf://evil/model"})
