"""A small text encoder to train from nothing."""

import keras

from kgen.text.load_text_model import import_keras_hub
from kgen.text.prompt_cleaning import clean_prompts
from kgen.text.text_encoder import TextEncoder

_SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def encoder_from_captions(
    captions, vocabulary_size=4000, width=128, num_layers=2, num_heads=4, sequence_length=32, seed=None
):
    """A trainable `TextEncoder` whose vocabulary is that of the captions; nothing is downloaded.

    A `BertBackbone` (Devlin et al. 2019) without dropout over WordPieces learned from the captions, lower case and
    without accents; Chinese characters stand each for itself. Its weights are random: train it with the images.

    Args:
        captions: list of strings: those of the training pictures.
        vocabulary_size: how many pieces of words to keep at most.
        width: features to a token, divisible by `num_heads`.
        num_layers, num_heads: transformer blocks, and attention heads in each.
        sequence_length: tokens to a caption, start and end marks included.
        seed: integer: the same weights each time. None: any.

    Raises:
        ImportError: KerasHub, or TensorFlow Text, which learns the vocabulary, is not installed.
        TypeError: a caption is no string.
        ValueError: no captions, an empty one, or sizes that do not fit each other.

    Example:
        ```python
        encoder = kgen.text.encoder_from_captions(["a red circle", "a blue square"], width=32)
        encoder.encode(["a blue circle"])["tokens"].shape  # (1, 32, 32)
        ```
    """
    captions = clean_prompts(captions, "encoder_from_captions")
    if vocabulary_size <= len(_SPECIAL_TOKENS):
        raise ValueError(f"encoder_from_captions: vocabulary_size must be over 5; got {vocabulary_size!r}.")
    if width % num_heads:
        raise ValueError(f"encoder_from_captions: width={width} cannot be split into num_heads={num_heads}.")
    models = import_keras_hub().models
    tokenizer = models.BertTokenizer(_vocabulary(captions, vocabulary_size), lowercase=True, strip_accents=True)
    # Older KerasHub has no preprocessor for embedders; the classifier's gives the same tokens.
    preprocessor_class = getattr(models, "BertTextEmbedderPreprocessor", models.BertTextClassifierPreprocessor)
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
    return TextEncoder(backbone, preprocessor_class(tokenizer, sequence_length=sequence_length), trainable=True)


def _vocabulary(captions, vocabulary_size):
    keras_hub = import_keras_hub()
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "encoder_from_captions: a vocabulary is learned by TensorFlow Text on every backend: "
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
    # BERT's own initializer, seeded: KerasHub's takes no seed.
    for i, weight in enumerate(backbone.trainable_variables):
        if weight.name in ("kernel", "embeddings", "position_embeddings"):
            weight.assign(keras.random.truncated_normal(weight.shape, stddev=0.02, seed=seed + i))
