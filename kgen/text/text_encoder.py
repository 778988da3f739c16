"""From strings to conditions, by a language model of KerasHub."""

import hashlib
import json
import os

import keras
import numpy as np
from keras import ops

from kgen.text.load_text_model import import_keras_hub, load_text_model, parts_of_embedder
from kgen.text.prompt_cleaning import clean_prompt_tensor, clean_prompts
from kgen.text.token_inputs import as_int32, check_parts, is_causal, sequence_output, token_inputs, with_length

_POOLINGS = ("mean", "cls", "max", "last", "backbone")
_LONG_WORK = 200  # captions


@keras.saving.register_keras_serializable(package="kgen")
class TextEncoder(keras.Model):
    """A text backbone of KerasHub with its tokenizer: captions in, pooled and token features out.

    `TextEncoder.of` makes one of a preset, a directory, a `TextEmbedder` or a backbone. A model that holds a
    `TextEncoder` saves and loads it, weights and vocabulary, in its own `.keras` file.

    With T = `sequence_length`, D = `token_dim` and P = `pooled_dim`, captions become `tokens` (B, T, D), one feature
    vector a token, zero after the last; `mask` (B, T), true at the real tokens; and `pooled` (B, P), one vector a
    caption, all float32.

    Args:
        backbone: a text `keras_hub.models.Backbone`.
        preprocessor: the KerasHub preprocessor that makes its inputs of strings; its `sequence_length` is T. Captions
            with more tokens are cut.
        pooling: how tokens become one vector: their `"mean"`, the first (`"cls"`), the `"last"`, the `"max"`, or
            `"backbone"`: the backbone's own `pooled_output`.
        normalize: scale the pooled vector to length 1.
        projection_dim: length that a dense layer brings the pooled vector to, such as that of a larger encoder which
            this one is to stand in for; None: no such layer.
        trainable: False keeps the backbone as it is, dropout off, whatever model it becomes a part of.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: the backbone or the preprocessor is not one of text, or they do not fit each other.

    Example:
        ```python
        encoder = kgen.text.TextEncoder.of("all_minilm_l6_v2_en")
        encoder.encode(["a cat", "a red apple"])["pooled"].shape  # (2, 384)
        ```
    """

    def __init__(
        self,
        backbone,
        preprocessor,
        pooling="mean",
        normalize=False,
        projection_dim=None,
        trainable=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_parts(backbone, preprocessor, pooling, _POOLINGS)
        # === Config ===
        self.pooling = pooling
        self.normalize = normalize
        self.projection_dim = projection_dim
        # === Layers ===
        self.backbone = backbone
        self.preprocessor = preprocessor
        self.projection = None if projection_dim is None else self._projection()
        self.trainable = trainable
        self.built = True

    @classmethod
    def of(cls, source, sequence_length=None):
        """The `TextEncoder` of whatever is at hand.

        Args:
            source: a `TextEncoder`; a KerasHub `TextEmbedder` or `CausalLM` with its preprocessor; a tuple
                `(backbone, preprocessor)` of KerasHub; the name of a KerasHub preset; or a directory in the format of
                transformers or KerasHub. Where a token knows only those before it, as in a `CausalLM` or CLIP, the
                last one is the pooled vector, else their mean, or what the source says.
            sequence_length: tokens to a caption, start and end marks included. Default: 32, or what the model can
                take where that is less; a `TextEncoder` keeps its own.

        Returns:
            A frozen `TextEncoder`; a `source` that is one already is given back as it is, unless its length changes.

        Raises:
            ImportError: KerasHub, or a package that it needs for this source, is not installed.
            TypeError: `source` is none of these.
            ValueError: there is no text model under this name, or it cannot take `sequence_length` tokens.

        Example:
            ```python
            encoder = kgen.text.TextEncoder.of("path/to/all-MiniLM-L6-v2", sequence_length=16)
            ```
        """
        if isinstance(source, cls):
            if sequence_length in (None, source.sequence_length):
                return source
            names = ("backbone", "preprocessor", "pooling", "normalize", "projection_dim", "trainable")
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
                f"TextEncoder: cannot make a text encoder of {type(source).__name__}; give a preset's name, a "
                "directory, a KerasHub TextEmbedder or CausalLM, a tuple (backbone, preprocessor), or a TextEncoder."
            )
        check_parts(parts["backbone"], parts["preprocessor"], parts.get("pooling", "mean"), _POOLINGS)
        parts["preprocessor"] = with_length(parts["preprocessor"], sequence_length, parts["backbone"])
        encoder = cls(**parts)
        if encoder.projection is not None:
            encoder.projection.set_weights(source.projection.get_weights())
        return encoder

    @property
    def sequence_length(self):
        """Tokens to a caption."""
        return self.preprocessor.sequence_length

    @property
    def token_dim(self):
        """Features to a token."""
        return sequence_output(self.backbone.output).shape[-1]

    @property
    def pooled_dim(self):
        """Features to a caption."""
        return self.projection_dim or self._unprojected_dim

    @property
    def _unprojected_dim(self):
        return self.backbone.output["pooled_output"].shape[-1] if self.pooling == "backbone" else self.token_dim

    def _projection(self):
        layer = keras.layers.Dense(self.projection_dim, dtype="float32", name="projection")
        layer.build((None, self._unprojected_dim))
        return layer

    # === From strings to tokens ===
    def build_preprocessor(self):
        """Builds what KerasHub builds at the first caption.

        On JAX and PyTorch Keras trains no model with an unbuilt layer, and one that is given features sees no caption.
        """
        for part in (None, "tokenizer", "packer"):
            layer = getattr(self.preprocessor, part, None) if part else self.preprocessor
            if layer is not None and not layer.built:
                layer.build(None)

    def tokenize(self, captions):
        """The backbone's inputs, as a dict of int32 arrays (B, T): `token_ids`, `padding_mask` and what else it takes.

        Args:
            captions: list of strings; each is cleaned by `clean_prompt` first.

        Raises:
            TypeError: for a single string, or a caption that is no string.
            ValueError: for no captions, or an empty one.
        """
        captions = clean_prompts(captions, "TextEncoder")
        try:
            return as_int32(token_inputs(self.preprocessor, captions))
        except ImportError as error:
            raise ImportError(
                "TextEncoder: this KerasHub tokenizes by TensorFlow and TensorFlow Text on every backend: "
                "pip install tensorflow tensorflow-text"
            ) from error

    def preprocess(self, captions):
        """What `tokenize` does, for a `tf.string` tensor (B,) inside a `tf.function` or `tf.data.Dataset.map`.

        A SavedModel of it needs TensorFlow Text to be imported where it is loaded, and nothing of kgen or KerasHub.
        In a graph nothing is checked: an empty caption is one without words.
        """
        tokens = token_inputs(self.preprocessor, clean_prompt_tensor(captions))
        import tensorflow as tf

        return {name: tf.cast(value, tf.int32) for name, value in tokens.items()}

    # === From tokens to features ===
    def call(self, token_inputs, training=False):
        """`{"pooled", "tokens", "mask"}` of what `tokenize` or `preprocess` gave."""
        inputs = {name: token_inputs[name] for name in self.backbone.input}
        outputs = self.backbone(inputs, training=bool(training) and self.trainable)
        mask = ops.not_equal(token_inputs["padding_mask"], 0)
        real = ops.expand_dims(ops.cast(mask, "float32"), -1)
        tokens = ops.cast(sequence_output(outputs), "float32") * real
        if self.pooling == "backbone":
            pooled = ops.cast(outputs["pooled_output"], "float32")
        else:
            pooled = self._pool(tokens, real)
        if self.projection is not None:
            pooled = self.projection(pooled)
        if self.normalize:
            pooled = ops.normalize(pooled, axis=-1)
        return {"pooled": pooled, "tokens": tokens, "mask": mask}

    def _pool(self, tokens, real):
        if self.pooling == "mean":
            return ops.sum(tokens, axis=1) / ops.maximum(ops.sum(real, axis=1), 1.0)
        if self.pooling == "cls":
            return tokens[:, 0]
        if self.pooling == "max":
            return ops.max(ops.where(real > 0, tokens, -1e9), axis=1)
        # A token is the last where no real one follows it.
        following = ops.pad(real, [[0, 0], [0, 1], [0, 0]])[:, 1:]
        return ops.sum(tokens * real * (1.0 - following), axis=1)

    def encode(self, captions, batch_size=64, verbose="auto"):
        """The features of captions, as a dict of arrays; row i is caption i's.

        Captions are run in order of length, each batch no longer than its longest and padded to a power of two, so
        that short captions cost little and few shapes are compiled; a backbone that is not told where padding begins
        gets the whole length. A caption's features do not depend on the others, to the rounding of float32.

        Args:
            captions: list of N strings.
            batch_size: how many to run at a time.
            verbose: show a progress bar: 1 or 0, or `"auto"`: for more than 200 captions.

        Returns:
            `pooled` (N, P) and `tokens` (N, T, D) in float32, `mask` (N, T) in bool.

        Raises:
            TypeError: for a single string, or a caption that is no string.
            ValueError: for no captions, an empty one, or a `batch_size` under 1.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise ValueError(f"TextEncoder.encode: batch_size must be a positive integer; got {batch_size!r}.")
        inputs = self.tokenize(captions)
        mask = inputs["padding_mask"] != 0
        lengths = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
        shortest = 8 if "padding_mask" in self.backbone.input else mask.shape[1]
        order = np.argsort(-lengths, kind="stable")
        features = {
            "pooled": np.empty((len(mask), self.pooled_dim), "float32"),
            "tokens": np.zeros((*mask.shape, self.token_dim), "float32"),
            "mask": mask,
        }
        show = len(mask) > _LONG_WORK if verbose == "auto" else bool(verbose)
        bar = keras.utils.Progbar(len(mask), unit_name="caption", verbose=int(show))
        for start in range(0, len(mask), batch_size):
            rows = order[start : start + batch_size]
            length = min(max(shortest, _power_of_two(lengths[rows[0]])), mask.shape[1])
            missing = min(_power_of_two(len(rows)), batch_size) - len(rows)
            batch = {name: np.pad(v[rows, :length], [(0, missing), (0, 0)], "edge") for name, v in inputs.items()}
            outputs = self.predict_on_batch(batch)
            # Under tf.distribute every replica answers: the first answer will do.
            features["pooled"][rows] = outputs["pooled"][: len(rows)]
            features["tokens"][rows, :length] = outputs["tokens"][: len(rows)]
            bar.add(len(rows))
        return features

    def fingerprint(self):
        """A hash of all that the features depend on: configuration, vocabulary and weights; the same in any process."""
        digest = hashlib.blake2b(digest_size=16)
        vocabulary = getattr(self.preprocessor.tokenizer, "vocabulary", None)
        digest.update(json.dumps([_without_names(self.get_config()), vocabulary], sort_keys=True).encode())
        for weight in self.weights:
            if "seed" not in weight.name:
                digest.update(np.ascontiguousarray(ops.convert_to_numpy(weight)).tobytes())
        return digest.hexdigest()

    # === Config ===
    def get_config(self):
        config = super().get_config()
        config.update(
            {
                "backbone": keras.saving.serialize_keras_object(self.backbone),
                "preprocessor": keras.saving.serialize_keras_object(self.preprocessor),
                "pooling": self.pooling,
                "normalize": self.normalize,
                "projection_dim": self.projection_dim,
                "trainable": self.trainable,
            }
        )
        return config

    @classmethod
    def from_config(cls, config):
        """The encoder of a saved configuration; weights and vocabulary come from the file's own parts."""
        import_keras_hub()
        parts = {name: keras.saving.deserialize_keras_object(config[name]) for name in ("backbone", "preprocessor")}
        return cls(**{**config, **parts})


def _power_of_two(number):
    return 1 << (int(number) - 1).bit_length()


def _without_names(config):
    # Names are numbered by what else a process has made; they change no feature.
    if isinstance(config, dict):
        return {key: _without_names(value) for key, value in config.items() if key not in ("name", "trainable")}
    return [_without_names(value) for value in config] if isinstance(config, list) else config
