"""From strings to tokens by any preprocessor of KerasHub, and what such a preprocessor must have."""

from __future__ import annotations

from keras import ops

# Captions name a picture in a few words; what a picture shows is seldom in the thirty-third token.
_DEFAULT_LENGTH = 32


def token_inputs(preprocessor, captions):
    """A dict of tensors `(N, sequence_length)` for the backbone of a preprocessor, with `padding_mask` in any case.

    Args:
        preprocessor: of a classifier, an embedder, a causal language model, or of CLIP.
        captions: list of N strings, or a `tf.string` tensor `(N,)`.
    """
    if _is_contrastive(preprocessor):
        tokens = preprocessor({"prompts": captions, "images": None})
    elif is_causal(preprocessor) and getattr(type(preprocessor), "image_converter_cls", None) is not None:
        # A language model that may be shown pictures wants answers too, except where it is to write them.
        tokens = preprocessor.generate_preprocess(captions, sequence_length=preprocessor.sequence_length)
    else:
        tokens = preprocessor(captions)
    if isinstance(tokens, tuple):
        # That of a causal language model also gives what is to be predicted.
        tokens = tokens[0]
    tokens = {name: value for name, value in tokens.items() if value is not None}
    if "padding_mask" not in tokens:
        tokens["padding_mask"] = tokens["token_ids"] != preprocessor.tokenizer.pad_token_id
    return tokens


def is_causal(preprocessor):
    """Whether it is of a model in which a token knows only those before it, so that the last one knows them all."""
    return hasattr(preprocessor, "generate_preprocess")


def _is_contrastive(preprocessor):
    """Whether it is CLIP's or of its kin, and wants a dict of texts and pictures."""
    backbone = getattr(type(preprocessor), "backbone_cls", None)
    return is_causal(preprocessor) and "CLIP" in getattr(backbone, "__name__", "")


def sequence_output(output):
    """The feature vectors of tokens among a backbone's outputs."""
    return output["sequence_output"] if isinstance(output, dict) else output


def check_parts(backbone, preprocessor, pooling, poolings):
    """Raises unless a backbone and a preprocessor make a text encoder, with a pooling that there is.

    Raises:
        ValueError: naming the part that does not fit.
    """
    inputs = getattr(backbone, "input", None)
    if not isinstance(inputs, dict) or "token_ids" not in inputs:
        raise ValueError(f"TextEncoder: backbone must be a KerasHub text backbone; got {type(backbone).__name__}.")
    if not hasattr(preprocessor, "tokenizer") or not hasattr(preprocessor, "sequence_length"):
        raise ValueError(
            f"TextEncoder: preprocessor must be the KerasHub preprocessor of {type(backbone).__name__}; got "
            f"{type(preprocessor).__name__}."
        )
    if pooling not in poolings:
        raise ValueError(f"TextEncoder: pooling must be one of {', '.join(poolings)}; got {pooling!r}.")
    if len(sequence_output(backbone.output).shape) != 3:
        raise ValueError(f"TextEncoder: {type(backbone).__name__} gives no feature vector for each token.")


def with_length(preprocessor, sequence_length, backbone):
    """A copy of a preprocessor that makes so many tokens of a caption; by default 32, or what the model can take.

    Raises:
        ValueError: for a length that the model cannot take.
    """
    longest = getattr(backbone, "max_sequence_length", None) or preprocessor.sequence_length
    if sequence_length is None:
        sequence_length = min(_DEFAULT_LENGTH, preprocessor.sequence_length, longest)
    if isinstance(sequence_length, bool) or not isinstance(sequence_length, int) or not 3 <= sequence_length <= longest:
        raise ValueError(
            f"TextEncoder: sequence_length must be an integer from 3 to {longest}, the most that "
            f"{type(backbone).__name__} can take; got {sequence_length!r}."
        )
    # A copy, because changing the length in place would change the caller's model.
    config = {**preprocessor.get_config(), "tokenizer": preprocessor.tokenizer, "sequence_length": sequence_length}
    return type(preprocessor).from_config(config)


def as_int32(tokens):
    """Tokens as numpy arrays of int32."""
    return {name: ops.convert_to_numpy(value).astype("int32") for name, value in tokens.items()}
