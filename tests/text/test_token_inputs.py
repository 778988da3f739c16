"""Every family of text models of KerasHub, as a text encoder; small and random."""

import keras
import numpy as np
import pytest

pytest.importorskip("tensorflow_text")
pytest.importorskip("sentencepiece")
keras_hub = pytest.importorskip("keras_hub")
if not hasattr(keras_hub.models, "Qwen3TextEmbedder"):
    pytest.skip("needs a newer KerasHub", allow_module_level=True)

from kgen.text import TextEncoder  # noqa: E402
from kgen.text.token_inputs import token_inputs  # noqa: E402
from tests.text import tiny_language_models as tiny  # noqa: E402

CAPTIONS = ["a red cat", "a", "one black cat sat"]
FAMILIES = {**tiny.ENCODERS, **tiny.LANGUAGE_MODELS}
# In which a token knows only those before it.
CAUSAL = {*tiny.LANGUAGE_MODELS, "clip", "metaclip_2", "gemma3_embedder", "qwen3_embedder"}


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
    with pytest.raises(ValueError, match="SigLIPTextEncoder gives no feature vector for each token"):
        TextEncoder.of((backbone, models.SigLIPPreprocessor(tokenizer)))
