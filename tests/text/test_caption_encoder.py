import keras
import numpy as np
import pytest
from keras import ops

from kgen.text import encoder_from_captions

pytest.importorskip("tensorflow_text")
CAPTIONS = ["a red circle", "a blue square", "一个红苹果", "Café noir"]

NESTED = ["a red cat", "a blue dog", "a tree"], [["a red cat", "a blue dog"], ("a tree",)]


def small(**kwargs):
    return encoder_from_captions(
        CAPTIONS, **{"width": 16, "num_layers": 1, "num_heads": 2, "sequence_length": 12, **kwargs}
    )


@pytest.mark.backends
def test_sizes_are_those_asked_for():
    encoder = small(width=24)
    features = encoder.encode(["a blue circle"])
    assert features["tokens"].shape == (1, 12, 24) and encoder.pooled_dim == encoder.token_dim == 24
    assert len(encoder.backbone.transformer_layers) == 1 and encoder.trainable


def test_words_of_the_captions_are_known():
    encoder = small()
    unknown = encoder.preprocessor.tokenizer.token_to_id("[UNK]")
    assert unknown not in encoder.tokenize(["A RED square", "cafe", "café", "红苹果"])["token_ids"]
    assert unknown in encoder.tokenize(["梨"])["token_ids"]


def test_chinese_characters_are_tokens_of_their_own():
    mask = small().tokenize(["一个红苹果"])["padding_mask"]
    assert mask.sum() == 5 + 2


def test_the_vocabulary_is_no_larger_than_asked():
    captions = [f"{a}{b}{c} thing" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"]
    encoder = encoder_from_captions(captions, vocabulary_size=60, width=16, num_heads=2)
    assert encoder.preprocessor.tokenizer.vocabulary_size() <= 60


@pytest.mark.backends
def test_seed_gives_the_same_weights_and_another_seed_others():
    first, same, other = (small(seed=seed).encode(["a red circle"])["pooled"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0.01


def test_every_weight_that_matters_learns():
    encoder = small(seed=0)
    tokens = encoder.tokenize(CAPTIONS)
    from kgen.training.backend import value_and_grad

    # The backbone's own pooled output is the one part that mean pooling leaves out.
    variables = [v for v in encoder.trainable_variables if "pooled_dense" not in v.path]

    def loss():
        out = encoder(tokens, training=True)
        first = ops.sum(ops.square(out["pooled"][:, :3])) + ops.sum(ops.square(out["tokens"][..., 3:7]))
        return first, ()

    _, gradients = value_and_grad_on_any_backend(value_and_grad, loss, variables)
    biases_of_keys = [v.path for v in variables if "key/bias" in v.path]  # softmax cancels them
    for variable, gradient in zip(variables, gradients):
        if variable.path not in biases_of_keys:
            assert np.abs(ops.convert_to_numpy(gradient)).max() > 0, variable.path


def value_and_grad_on_any_backend(value_and_grad, loss, variables):
    if keras.backend.backend() != "jax":
        return value_and_grad(loss, variables)
    from kgen.training.backend import run_step

    def step(data):
        return value_and_grad(loss, variables)

    result, _ = run_step(step, [variables], (([v.value for v in variables],), None))
    return result


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="vocabulary_size must be an integer of at least 6; got 5"):
        small(vocabulary_size=5)
    with pytest.raises(ValueError, match="width=10 cannot be split"):
        small(width=10, num_heads=4)
    with pytest.raises(TypeError, match="encoder_from_captions: caption 0"):
        encoder_from_captions([1])


def test_captions_by_image():
    flat, nested = (encoder_from_captions(each, width=8, num_heads=2, num_layers=1, seed=0) for each in NESTED)
    np.testing.assert_array_equal(flat.encode(["a red cat"])["pooled"], nested.encode(["a red cat"])["pooled"])
