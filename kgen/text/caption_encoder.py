"""A small text encoder that is trained from scratch."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from kgen import checks
from kgen.serializable import python_numbers
from kgen.text.prompt_cleaner import clean_prompts
from kgen.text.text_encoder import TextEncoder
from kgen.text.text_models import import_keras_hub

_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@python_numbers
def encoder_from_captions(
    captions: Sequence[str | Sequence[str]],
    vocabulary_size: int = 4000,
    width: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    sequence_length: int = 32,
    seed: int | None = None,
) -> TextEncoder:
    """A trainable `TextEncoder` with a vocabulary learned from the captions; nothing is downloaded.

    A `BertBackbone` (Devlin et al. 2019) without dropout, over lower-case WordPieces without accents; every Chinese
    character is a token. Its weights are random: train it with the images.

    Args:
        captions: list of strings, or of lists of strings: the captions of the training images.
        vocabulary_size: the largest number of word pieces, more than 5.
        width: features per token, divisible by `num_heads`.
        num_layers, num_heads: transformer blocks, and attention heads in each.
        sequence_length: tokens per caption, with start and end marks.
        seed: integer, for the same weights each time; or None.

    Raises:
        ImportError: KerasHub is not installed, or TensorFlow Text, which learns the vocabulary.
        TypeError: a caption is not a string.
        ValueError: there are no captions, one is empty, or the sizes do not fit together.

    Example:

    ```python
    encoder = kgen.text.encoder_from_captions(["a red circle", "a blue square"], width=32)
    encoder.encode(["a blue circle"])["tokens"].shape      # (1, 32, 32)
    ```
    """
    if isinstance(captions, (list, tuple)):
        captions = [text for each in captions for text in (each if isinstance(each, (list, tuple)) else [each])]
    captions = clean_prompts(captions, "encoder_from_captions")
    least = 1 + len(_SPECIAL_TOKENS)
    vocabulary_size = checks.integer("encoder_from_captions", "vocabulary_size", vocabulary_size, least)
    if width % num_heads:
        raise ValueError(f"encoder_from_captions: width={width} cannot be split into num_heads={num_heads}.")
    models = import_keras_hub().models
    tokenizer = models.BertTokenizer(_vocabulary(captions, vocabulary_size), lowercase=True, strip_accents=True)
    preprocessor = models.BertTextEmbedderPreprocessor(tokenizer, sequence_length=sequence_length)
    backbone = models.BertBackbone(
        vocabulary_size=tokenizer.vocabulary_size(),
        num_layers=num_layers,
        num_heads=num_heads,
        hidden_dim=width,
        intermediate_dim=4 * width,
        dropout=0.0,
        max_sequence_length=sequence_length,
    )
    if seed is not None:
        _draw_weights(backbone, seed)
    return TextEncoder(backbone, preprocessor, trainable=True)


def _vocabulary(captions, vocabulary_size):
    keras_hub = import_keras_hub()
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "encoder_from_captions: learning the vocabulary needs TensorFlow Text on every backend: "
            "pip install tensorflow tensorflow-text"
        ) from error
    return keras_hub.tokenizers.compute_word_piece_vocabulary(
        tf.data.Dataset.from_tensor_slices(captions),
        vocabulary_size=vocabulary_size,
        lowercase=True,
        strip_accents=True,
        reserved_tokens=_SPECIAL_TOKENS,
    )


def _draw_weights(backbone, seed):
    # BERT's own initializer with a seed; KerasHub's takes none.
    for i, weight in enumerate(backbone.trainable_variables):
        if weight.name in ("kernel", "embeddings", "position_embeddings"):
            weight.assign(keras.random.truncated_normal(weight.shape, stddev=0.02, seed=seed + i))
