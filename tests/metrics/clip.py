"""A tiny CLIP of KerasHub with random weights and a vocabulary of letters, as a preset on disk."""

import string

import keras_hub

IMAGE_SHAPE = (16, 16, 3)
DIM = 6
SEQUENCE_LENGTH = 12


def save(path):
    """Writes the preset; returns its backbone and preprocessor as KerasHub reads them."""
    models, merges = keras_hub.models, ["r e", "re d</w>", "c a", "ca t</w>"]
    letters = string.ascii_lowercase + "!,"
    tokens = [*letters, *(each + "</w>" for each in letters), *(merge.replace(" ", "") for merge in merges)]
    vocabulary = {token: i for i, token in enumerate([*tokens, "<|startoftext|>", "<|endoftext|>"])}
    sizes = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
    vision = models.CLIPVisionEncoder(patch_size=8, image_shape=IMAGE_SHAPE, **sizes)
    text = models.CLIPTextEncoder(len(vocabulary), embedding_dim=8, max_sequence_length=SEQUENCE_LENGTH, **sizes)
    # Means and deviations differ by channel, so that a mistake in them shows.
    scale, offset = [0.012, 0.014, 0.016], [-1.9, -1.7, -1.5]
    converter = keras_hub.layers.CLIPImageConverter(image_size=IMAGE_SHAPE[:2], scale=scale, offset=offset)
    tokenizer = models.CLIPTokenizer(vocabulary, merges)
    models.CLIPBackbone(vision, text, DIM).save_to_preset(path)
    models.CLIPPreprocessor(tokenizer, converter, sequence_length=SEQUENCE_LENGTH).save_to_preset(path)
    return models.CLIPBackbone.from_preset(path), models.CLIPPreprocessor.from_preset(path)
