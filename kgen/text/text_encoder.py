"""From captions to features, with a language model of KerasHub."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgen import checks
from kgen.presets import is_preset, load_preset
from kgen.progress import Progress
from kgen.serializable import constructor_arguments, serializable
from kgen.text.pooling import pooled_tokens
from kgen.text.prompt_cleaner import clean_prompt_tensor, clean_prompts
from kgen.text.text_models import (
    as_int32,
    check_parts,
    is_causal,
    load_text_model,
    parts_of_embedder,
    sequence_output,
    token_inputs,
    too_long,
    warn_of_cut,
    with_length,
)
from kgen.text.word_pieces import packed_pieces, warn_of_unknown_words, word_piece_tokenizer, word_pieces
from kgen.training import backend
from kgen.types import Array, Tensor

_SEGMENTS = "segment_ids"


@serializable
class TextEncoder(keras.Model):
    """A text backbone of KerasHub with its tokenizer: captions in, pooled and token features out.

    `TextEncoder.of` makes one from a preset, a directory, a `TextEmbedder` or a backbone. A model that holds a
    `TextEncoder` saves and loads it, with weights and vocabulary, in its own `.keras` file.

    With T = `sequence_length`, D = `token_dim` and P = `pooled_dim`, captions become float32 `tokens` (B, T, D), one
    vector per token, zero after the last; float32 `pooled` (B, P), one vector per caption; and bool `mask` (B, T), true
    at the real tokens.

    Args:
        backbone: a text `keras_hub.models.Backbone`.
        preprocessor: the KerasHub preprocessor that makes its inputs from strings; its `sequence_length` is T. Longer
            captions are cut, with a warning.
        pooling: how tokens become one vector: their `"mean"`, the first (`"cls"`), the `"last"`, the `"max"`, or
            `"backbone"`: the backbone's own `pooled_output`.
        normalize: whether to scale the pooled vector to length 1.
        projection_dim: length to which a dense layer projects the pooled vector, such as that of a larger encoder that
            this one replaces; None: no such layer.
        trainable: False freezes the backbone, with dropout off, in any model that it becomes a part of.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: the backbone or the preprocessor is not for text, or they do not fit together.

    Example:

    ```python
    encoder = kgen.text.TextEncoder.of("all_minilm_l6_v2_en")
    encoder.encode(["a cat", "a red apple"])["pooled"].shape      # (2, 384)
    ```
    """

    def __init__(
        self,
        backbone: keras.Model,
        preprocessor: keras.layers.Layer,
        pooling: str = "mean",
        normalize: bool = False,
        projection_dim: int | None = None,
        trainable: bool = False,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        check_parts(backbone, preprocessor, pooling)
        # === Config ===
        self.pooling = pooling
        self.normalize = normalize
        self.projection_dim = projection_dim
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.projection = None if projection_dim is None else self._projection()
        for each in (self, backbone):
            # Skips equal values: except on TensorFlow, assigning one would change the layers inside.
            if each.trainable != trainable:
                each.trainable = trainable
        self.built = True
        self._forget_graphs()

    @classmethod
    def of(cls, source: Any, sequence_length: int | None = None) -> TextEncoder:
        """Makes a `TextEncoder` from any text model.

        Args:
            source: a `TextEncoder` or `EncoderByScript`; a KerasHub `TextEmbedder` or `CausalLM` with its preprocessor;
                a tuple `(backbone, preprocessor)` of KerasHub; the name of a preset of kgen, such as
                "tiny_minilm_en_zh", which is small and reads English and Chinese, or of KerasHub; or a directory in the
                format of kgen, transformers or KerasHub. From a preset of a `TextToImage`, its encoder is taken.
                Pooling is what the source says; else the last token if tokens see only those before them, as in a
                `CausalLM` or CLIP; else the mean.
            sequence_length: tokens per caption, with start and end marks. Default: 32, or what the model can take if
                that is less; a `TextEncoder` keeps its own.

        Returns:
            A frozen `TextEncoder`; a `TextEncoder` is returned as it is, unless its length changes.

        Raises:
            ImportError: KerasHub, or a package that it needs for this source, is not installed.
            TypeError: `source` is something else.
            ValueError: there is no text model with this name, or it cannot take `sequence_length` tokens.

        Example:

        ```python
        encoder = kgen.text.TextEncoder.of("path/to/all-MiniLM-L6-v2", sequence_length=16)
        ```
        """
        if isinstance(source, (str, os.PathLike)) and is_preset(source):
            preset = load_preset(source)
            source = getattr(preset, "text_encoder", preset)
        if isinstance(source, cls) or (isinstance(source, keras.Model) and hasattr(source, "fingerprint")):
            if not isinstance(source, cls) or sequence_length in (None, source.sequence_length):
                return source
            names = constructor_arguments(cls)
            parts = {name: getattr(source, name) for name in names}
        elif isinstance(source, (str, os.PathLike)):
            parts = load_text_model(source)
        elif isinstance(source, (tuple, list)) and len(source) == 2:
            parts = dict(zip(("backbone", "preprocessor"), source))
            parts["pooling"] = "last" if is_causal(parts["preprocessor"]) else "mean"
        elif hasattr(source, "backbone") and hasattr(source, "preprocessor"):
            parts = parts_of_embedder(source)
        else:
            raise TypeError(
                f"TextEncoder: cannot make a text encoder from {type(source).__name__}; give a preset's name, a "
                "directory, a KerasHub TextEmbedder or CausalLM, a tuple (backbone, preprocessor), or a TextEncoder."
            )
        check_parts(parts["backbone"], parts["preprocessor"], parts.get("pooling", "mean"))
        parts["preprocessor"] = with_length(parts["preprocessor"], sequence_length, parts["backbone"])
        encoder = cls(**parts)
        if encoder.projection is not None:
            encoder.projection.set_weights(source.projection.get_weights())
        return encoder

    @property
    def sequence_length(self) -> int:
        """Tokens per caption."""
        return self.preprocessor.sequence_length

    @property
    def token_dim(self) -> int:
        """Features per token."""
        return sequence_output(self.backbone.output).shape[-1]

    @property
    def pooled_dim(self) -> int:
        """Features per caption."""
        return self.projection_dim or self._unprojected_dim

    @property
    def _unprojected_dim(self):
        return self.backbone.output["pooled_output"].shape[-1] if self.pooling == "backbone" else self.token_dim

    def _projection(self):
        layer = keras.layers.Dense(self.projection_dim, dtype="float32", name="projection")
        layer.build((None, self._unprojected_dim))
        return layer

    def served_layers(self) -> list:
        """The layers that a SavedModel of `preprocess` and the features needs."""
        return [self, self.preprocessor]

    # === From strings to tokens ===
    def build_preprocessor(self) -> None:
        """Builds the layers that KerasHub builds at the first caption.

        On JAX and PyTorch, Keras does not train a model with an unbuilt layer; a model that gets features never sees a
        caption.
        """
        for part in (None, "tokenizer", "packer"):
            layer = getattr(self.preprocessor, part, None) if part else self.preprocessor
            if layer is not None and not layer.built:
                layer.build(None)

    def tokenize(self, captions: Sequence[str], cut: list[str] | None = None) -> dict[str, Array]:
        """The backbone's inputs, as a dict of int32 arrays (B, T): `token_ids`, `padding_mask` and others it takes.

        Args:
            captions: list of strings; each is cleaned by `clean_prompt` first.
            cut: a list, to which captions that are too long are added; None: a warning counts them.

        Raises:
            TypeError: for a single string, or a caption that is not a string.
            ValueError: for no captions, or an empty one.
        """
        captions = clean_prompts(captions, "TextEncoder")
        try:
            inputs = self._read(captions)
        except ImportError as error:
            raise ImportError(
                "TextEncoder: this KerasHub version tokenizes with TensorFlow and TensorFlow Text on every backend: "
                "pip install tensorflow tensorflow-text"
            ) from error
        warn_of_unknown_words(word_piece_tokenizer(self), captions, inputs["token_ids"])
        longer = too_long(self.preprocessor, captions, inputs)
        if cut is None:
            warn_of_cut(longer, len(captions), self)
        else:
            cut += longer
        return inputs

    def _read(self, captions):
        tokenizer = word_piece_tokenizer(self)
        if tokenizer is None:
            return as_int32(token_inputs(self.preprocessor, captions))
        # KerasHub's packer takes a millisecond, whatever the backend.
        return packed_pieces(tokenizer, self.sequence_length, captions)

    def preprocess(self, captions: Tensor) -> dict[str, Tensor]:
        """`tokenize` for a `tf.string` tensor (B,), inside a `tf.function` or `tf.data.Dataset.map`.

        In a SavedModel, word pieces are plain TensorFlow; another tokenizer needs `import tensorflow_text` where the
        model is loaded. In a graph nothing is checked: an empty caption has no words.
        """
        captions, tokenizer = clean_prompt_tensor(captions), word_piece_tokenizer(self)
        if tokenizer is not None:
            return word_pieces(tokenizer, self.sequence_length, captions)
        import tensorflow as tf

        return {name: tf.cast(value, tf.int32) for name, value in token_inputs(self.preprocessor, captions).items()}

    # === From tokens to features ===
    def token_signature(self) -> dict[str, keras.InputSpec]:
        """What `from_tokens` reads: int32 tensors `(N, sequence_length)` by the names that `tokenize` gives them.

        Segments are left out: a caption has only one.
        """
        names = ("token_ids", "padding_mask", *self.backbone.input)
        shape = (None, self.sequence_length)
        return {name: keras.InputSpec(shape=shape, dtype="int32", name=name) for name in names if name != _SEGMENTS}

    def from_tokens(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """The features that `call` makes from tensors as in `token_signature`."""
        return self({**inputs, _SEGMENTS: ops.zeros_like(inputs["token_ids"])})

    def call(self, token_inputs: dict[str, Tensor], training: bool = False) -> dict[str, Tensor]:
        """`{"pooled", "tokens", "mask"}` from the result of `tokenize` or `preprocess`."""
        inputs = {name: token_inputs[name] for name in self.backbone.input}
        outputs = self.backbone(inputs, training=bool(training) and self.trainable)
        mask = ops.not_equal(token_inputs["padding_mask"], 0)
        real = ops.expand_dims(ops.cast(mask, "float32"), -1)
        tokens = ops.cast(sequence_output(outputs), "float32") * real
        if self.pooling == "backbone":
            pooled = ops.cast(outputs["pooled_output"], "float32")
        else:
            pooled = pooled_tokens(self.pooling, tokens, real)
        if self.projection is not None:
            pooled = self.projection(pooled)
        if self.normalize:
            pooled = ops.normalize(pooled, axis=-1)
        return {"pooled": pooled, "tokens": tokens, "mask": mask}

    def encode(
        self,
        captions: Sequence[str],
        batch_size: int = 64,
        verbose: int | str = "auto",
        cut: list[str] | None = None,
        tokens: bool = True,
    ) -> dict[str, Array]:
        """The features of captions, as a dict of arrays; row i belongs to caption i.

        Captions are sorted by length. A batch is as long as its longest caption, rounded up to a power of two, so that
        short captions cost little and few shapes are compiled; a backbone without a padding mask gets the whole length.
        Except for rounding, a caption's features do not depend on the others.

        Args:
            captions: list of N strings.
            batch_size: captions per batch.
            verbose: progress bar: 0: never; 1: always; "auto": after two seconds.
            cut: as in `tokenize`.
            tokens: whether to give features of tokens too.

        Returns:
            `pooled` (N, P) and `tokens` (N, T, D) in float32, `mask` (N, T) in bool; `pooled` alone without tokens.

        Raises:
            TypeError: for a single string, or a caption that is not a string.
            ValueError: for no captions, an empty one, or a `batch_size` below 1.
        """
        batch_size = checks.integer("TextEncoder.encode", "batch_size", batch_size)
        inputs = self.tokenize(captions, cut)
        mask = inputs["padding_mask"] != 0
        lengths = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
        shortest = 8 if "padding_mask" in self.backbone.input else mask.shape[1]
        order = np.argsort(-lengths, kind="stable")
        features = {"pooled": np.empty((len(mask), self.pooled_dim), "float32")}
        if tokens:
            features |= {"tokens": np.zeros((*mask.shape, self.token_dim), "float32"), "mask": mask}
        progress = Progress(len(mask), "caption", verbose)
        for start in range(0, len(mask), batch_size):
            rows = order[start : start + batch_size]
            length = min(max(shortest, _power_of_two(lengths[rows[0]])), mask.shape[1])
            outputs = self._encode({name: values[rows, :length] for name, values in inputs.items()})
            features["pooled"][rows] = outputs["pooled"]
            if tokens:
                features["tokens"][rows, :length] = outputs["tokens"]
            progress.add(len(rows))
        return features

    def quantize(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.quantize`."""
        super().quantize(*args, **kwargs)
        self._forget_graphs()

    def _forget_graphs(self):
        """Compiles the function of tokens again, because variables have changed."""
        self._encode = backend.compiled(lambda inputs: self(inputs, training=False), lambda: self.variables, axes=2)

    def fingerprint(self) -> str:
        """A hash of all that the features depend on: config, vocabulary and weights; the same in every process."""
        digest = hashlib.blake2b(digest_size=16)
        vocabulary = getattr(self.preprocessor.tokenizer, "vocabulary", None)
        digest.update(json.dumps([_without_names(self.get_config()), vocabulary], sort_keys=True).encode())
        for weight in self.weights:
            if "seed" not in weight.name:
                digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight)).tobytes())
        return digest.hexdigest()


def _power_of_two(number):
    return 1 << (int(number) - 1).bit_length()


def _without_names(config):
    # Names have numbers that depend on what else a process has made; features do not depend on names.
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key not in ("name", "trainable")}
    return [_without_names(value) for value in config] if isinstance(config, list) else config
