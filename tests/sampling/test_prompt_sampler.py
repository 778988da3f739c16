import warnings

import keras
import numpy as np
import pytest
from keras import ops

from kgen.layers import Upscale
from kgen.text import PromptCleaner, PromptExpander
from tests.models import tiny_text

pytest.importorskip("tensorflow_text")

PROMPTS = ["a red picture", "a blue sheet of paper"]


@keras.saving.register_keras_serializable(package="tests")
def on_paper(prompt):
    return "on a sheet of paper"


def ready(**kwargs):
    """A model that counts as trained, in whose pictures captions and latents show; always of the same weights."""
    keras.utils.set_random_seed(0)
    model = tiny_text.model(**kwargs)
    model.average.updates.assign(1.0)
    random = np.random.default_rng(0)
    for weight in model.average.network.trainable_variables:
        weight.assign(ops.convert_to_numpy(weight) + 0.2 * random.normal(size=weight.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return ready(caption_dropout=0.1)


def far(images, others):
    return np.abs(images.astype(int) - others.astype(int)).mean()


# === What was read ===
def test_what_the_encoder_read():
    model = ready(prompt_cleaner=PromptCleaner("en"), prompt_expander=on_paper)
    images, text = model.generate("a  red picture", seed=0, return_prompts=True)
    assert images.shape == tiny_text.SHAPE and text == "red picture, on sheet paper"
    images, texts = model.generate(PROMPTS, num_images=2, seed=0, return_prompts=True)
    assert len(images) == 4 and texts == ["red picture, on sheet paper", "blue sheet paper, on sheet paper"]
    plain = ready()
    assert np.abs(plain.generate(texts, num_images=2, seed=0).astype(int) - images).max() <= 1
    assert plain.generate(PROMPTS, seed=0, return_prompts=True)[1] == PROMPTS


def test_captions_are_cleaned_as_prompts_are():
    model = tiny_text.model(prompt_cleaner=PromptCleaner("en"))
    model.compile()
    images, captions = tiny_text.pictures(4)
    model.fit(images, captions, batch_size=4, verbose=0)
    assert "red picture" in model.image_input.features and "a red picture" not in model.image_input.features.vocabulary
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        data = tf.data.Dataset.from_tensor_slices((images, ["the red thing"] * 4)).batch(4)
        model.fit(data, verbose=0)
        assert model.image_input.features.vocabulary[-1] == "red thing"


def test_cleaner_and_expander_are_saved_with_the_model(tmp_path):
    model = ready(prompt_cleaner=PromptCleaner(["of"]), prompt_expander=PromptExpander(on_paper, seed=3))
    model.save(tmp_path / "model.keras")
    model.save_to_preset(tmp_path / "preset")
    images, texts = model.generate(PROMPTS, seed=1, return_prompts=True)
    for again in (keras.saving.load_model(tmp_path / "model.keras"), type(model).from_preset(tmp_path / "preset")):
        assert again.prompt_expander.seed == 3
        found, read = again.generate(PROMPTS, seed=1, return_prompts=True)
        np.testing.assert_array_equal(found, images)
        assert read == texts


def test_a_language_model_is_saved_with_the_model(tmp_path):
    pytest.importorskip("sentencepiece")
    from tests.text import tiny_language_models

    language_model = tiny_language_models.LANGUAGE_MODELS["llama"]()
    model = ready(prompt_expander=PromptExpander(language_model, "{prompt}:", max_length=32, temperature=3.0))
    model.compile()
    images, captions = tiny_text.pictures(4)
    model.fit(images, captions, batch_size=4, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.prompt_expander.expand(PROMPTS) == model.prompt_expander.expand(PROMPTS) != PROMPTS


def test_a_function_without_a_name_is_no_reason_not_to_generate_but_not_to_save(tmp_path):
    model = ready(prompt_expander=lambda prompt: "here")
    assert model.generate("a red picture", seed=0, return_prompts=True)[1] == "a red picture, here"
    with pytest.raises(ValueError, match="PromptExpander: .* cannot be saved"):
        model.save(tmp_path / "model.keras")


def test_the_saved_model_cleans_and_does_not_expand(tmp_path, tensorflow_backend):
    import tensorflow as tf

    options = {"prompt_cleaner": PromptCleaner("en"), "postprocessing": [Upscale(2)]}
    model = ready(prompt_expander=on_paper, **options)
    model.export(tmp_path / "saved")
    serve = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    found = serve(prompts=tf.constant(PROMPTS), seeds=tf.constant([4, 4]))["images"].numpy()
    assert found.shape == (2, 32, 32, 3)
    assert np.abs(found.astype(int) - ready(**options).generate(PROMPTS, seed=[4, 4])).max() <= 1
    prompts = tf.constant(model.prompt_expander.expand(PROMPTS))
    expanded = serve(prompts=prompts, seeds=tf.constant([4, 4]))["images"].numpy()
    assert np.abs(expanded.astype(int) - model.generate(PROMPTS, seed=[4, 4])).max() <= 1


def test_what_is_no_cleaner_or_expander():
    with pytest.raises(TypeError, match="prompt_cleaner must be a PromptCleaner or None; got str"):
        tiny_text.model(prompt_cleaner="en")
    with pytest.raises(TypeError, match="language_model must be a KerasHub CausalLM"):
        tiny_text.model(prompt_expander=3)


# === How it is drawn ===
@pytest.fixture
def remembering():
    model = ready()
    model.remember(tiny_text.CAPTIONS)
    return model


def test_guidance_chooses_among_what_is_remembered(remembering):
    def draw(prompt, **kwargs):
        return remembering.generate(prompt, seed=0, **kwargs).astype(int)

    # Every image is that of a caption which is known, and never that of the negative prompt.
    known = np.stack([draw(caption) for caption in tiny_text.CAPTIONS])
    asked, unwanted = tiny_text.CAPTIONS[0], tiny_text.CAPTIONS[1]
    np.testing.assert_allclose(draw(asked, guidance_scale=2.0), known[0], atol=2)
    found = draw(asked, negative_prompts=asked)
    assert np.abs(known - found).max(axis=(1, 2, 3)).min() <= 2
    np.testing.assert_allclose(draw(asked, negative_prompts=asked, guidance_scale=3.0), found, atol=1)
    np.testing.assert_allclose(draw(asked, negative_prompts=[unwanted], guidance_scale=1.5), known[0], atol=2)


def counted(monkeypatch, owner, name):
    """Calls of a method, which a compiled graph has only when it is made."""
    calls, method = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args, **kwargs: calls.append(1) or method(*args, **kwargs))
    return calls


def test_a_prompt_runs_in_graphs_that_are_made_once(remembering, tensorflow_backend, monkeypatch):
    encoder, memory = remembering.text_encoder, remembering.memory
    calls = [
        counted(monkeypatch, *each) for each in ((encoder, "call"), (memory, "call"), (remembering.sampler, "draw"))
    ]
    for prompt in ("a red picture", "blue", "a white sheet of paper and a green sheet"):
        remembering.generate(prompt, seed=0)
    remembering.generate(PROMPTS, num_images=2, seed=1)
    # `remember` has made the graph of the encoder.
    assert [len(each) for each in calls] == [0, 1, 1]


@pytest.mark.backends
def test_weights_and_memories_that_changed_after_a_call_are_seen(remembering):
    def draw():
        return remembering.generate("a red picture", seed=0).astype(int)

    first = draw()
    # The memory gives one of its own vectors: those of the encoder only choose.
    remembering.memory.known.assign(-ops.convert_to_numpy(remembering.memory.known))
    second = draw()
    remembering.remember(None)
    third = draw()
    for weight in remembering.text_encoder.weights:
        weight.assign(2.0 * ops.convert_to_numpy(weight))
    fourth = draw()
    remembering.remember(["a blue picture"])
    fifth = draw()
    images = [first, second, third, fourth, fifth]
    assert all(np.abs(one - next_one).max() > 1 for one, next_one in zip(images, images[1:]))


def test_a_quantized_text_encoder_is_read_anew(model):
    encoder = tiny_text.text_encoder()
    before = encoder.encode(PROMPTS)["pooled"]
    encoder.quantize("int8")
    after, wanted = encoder.encode(PROMPTS)["pooled"], encoder(encoder.tokenize(PROMPTS))["pooled"]
    np.testing.assert_allclose(after, ops.convert_to_numpy(wanted), atol=1e-5)
    assert np.abs(after - before).max() > 1e-4


@pytest.mark.parametrize("reads", [True, False])
def test_tokens_are_encoded_only_for_what_reads_them(model, reads, monkeypatch):
    asked = []
    monkeypatch.setattr(model.sampler.prompts, "features", lambda *args, tokens: asked.append(tokens) or {})
    monkeypatch.setattr(model.sampler, "run", lambda *args, **kwargs: np.zeros((1, 2, 2, 3), "uint8"))
    if not reads:
        monkeypatch.setattr("kgen.sampling.prompt_sampler.condition_names", lambda *_: {"pooled"})
    model.generate("a red picture")
    assert asked == [reads]


@pytest.mark.parametrize("kwargs", [{"guidance_scale": 2.0}, {"negative_prompts": "a dog"}, {"guidance_scale": 1.0}])
def test_guidance_is_refused_where_nothing_is_remembered(model, kwargs):
    with pytest.raises(ValueError, match="TextToImage.generate: guidance_scale .* remember.captions. first.*contrast"):
        model.generate("a cat", **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"negative_prompts": "a dog", "guidance_scale": 1.0}, "above 1 with negative_prompts, or left out; got 1.0"),
        ({"guidance_scale": -1}, "guidance_scale must be a number of at least 0; got -1"),
        ({"negative_prompts": ["a", "b"], "guidance_scale": 2.0}, "one for each prompt; got 2 for 1"),
        ({"negative_prompts": " "}, "negative_prompts: caption 0 is empty"),
        ({"truncation": 0}, "truncation must be positive"),
    ],
)
def test_arguments(remembering, kwargs, said):
    with pytest.raises(ValueError, match=f"TextToImage.generate: .*{said}"):
        remembering.generate("a cat", **kwargs)


def test_truncated_latents_make_pictures_alike(model):
    whole, narrow = (model.generate(PROMPTS[0], 6, seed=0, truncation=limit) for limit in (None, 0.05))
    assert narrow.std(axis=0).mean() < 0.3 * whole.std(axis=0).mean()


def test_latents_that_change_nothing_are_told_of_once():
    model = ready()
    for weight in model.average.network.weights:
        weight.assign(ops.zeros_like(weight))
    assert model.sampler.variety(PROMPTS[0]) == 0.0
    model.generate(PROMPTS, seed=[0, 1])
    with pytest.warns(UserWarning, match="TextToImage.generate: seeds and truncation change almost nothing"):
        model.generate(PROMPTS[0], 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*change almost nothing")
        model.generate(PROMPTS[0], 2)
        ready().generate(PROMPTS[0], 2, truncation=1e-6)


# === Walks ===
@pytest.mark.parametrize("seed", [0, [5, 5, 7]])
def test_a_walk_passes_the_pictures_of_its_prompts(model, seed):
    prompts = [*PROMPTS, "a white picture"]
    frames = model.walk(prompts, steps=4, seed=seed)
    assert frames.shape == (9, *tiny_text.SHAPE)
    stations = model.generate(prompts, seed=seed)
    assert np.abs(frames[::4].astype(int) - stations).max() <= 1
    assert max(far(a, b) for a, b in zip(frames, frames[1:])) < 0.8 * far(stations[0], stations[1])


def test_walks_that_cannot_be(model):
    with pytest.raises(ValueError, match="TextToImage.walk: give at least two prompts"):
        model.walk(["a red picture"])
    with pytest.raises(ValueError, match="TextToImage.walk: steps must be an integer of at least 1; got 0"):
        model.walk(PROMPTS, steps=0)
    with pytest.raises(TypeError, match="TextToImage.walk: captions must be a list"):
        model.walk("a red picture")


def test_no_warning_where_there_is_nothing_to_warn_of(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert model.generate("a a", seed=0).shape == model.sampler.image_shape
