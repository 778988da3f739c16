"""A pair of text encoders with the same features: one for texts in Latin script, one for all others."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from kgen.serializable import serializable
from kgen.text.prompt_cleaner import clean_prompt_tensor, clean_prompts
from kgen.types import Array, Tensor

if TYPE_CHECKING:
    from kgen.text.text_encoder import TextEncoder


@serializable
class EncoderByScript(keras.Model):
    """Pooled features from one encoder for texts in Latin script, and from another for all others.

    A language model of English knows more English than a small encoder distilled from it, but no Chinese. Both give the
    same pooled features, as far as the small one has learned them. Tokens always come from `others`. It replaces a
    `TextEncoder`, is frozen, and is saved with both encoders.

    Args:
        latin: a `TextEncoder` for texts with only Latin letters.
        others: a `TextEncoder` for all other texts.
        **kwargs: `name`, `dtype`.

    Raises:
        ValueError: if their pooled features have different lengths.

    Example:

    ```python
    encoder = kgen.text.EncoderByScript(kgen.text.TextEncoder.of("all_minilm_l6_v2_en"), small_encoder)
    encoder.encode(["a black cat", "一只黑色的猫"])["pooled"].shape      # (2, 384)
    ```
    """

    def __init__(self, latin: TextEncoder, others: TextEncoder, **kwargs: Any):
        super().__init__(**kwargs)
        if latin.pooled_dim != others.pooled_dim:
            raise ValueError(
                f"EncoderByScript: the pooled features of both encoders must have the same length; got "
                f"{latin.pooled_dim} and {others.pooled_dim}."
            )
        self.latin = latin
        self.others = others
        self.trainable = False
        self.built = True

    # === The properties of a text encoder ===
    @property
    def sequence_length(self) -> int:
        """Tokens per caption."""
        return self.others.sequence_length

    @property
    def token_dim(self) -> int:
        """Features per token."""
        return self.others.token_dim

    @property
    def pooled_dim(self) -> int:
        """Features per caption."""
        return self.others.pooled_dim

    @property
    def normalize(self) -> bool:
        """Whether the pooled vectors of both have length 1."""
        return self.latin.normalize and self.others.normalize

    def build_preprocessor(self) -> None:
        """As in `TextEncoder`."""
        self.latin.build_preprocessor()
        self.others.build_preprocessor()

    def served_layers(self) -> list:
        """As in `TextEncoder`."""
        return [*self.latin.served_layers(), *self.others.served_layers()]

    def fingerprint(self) -> str:
        """As in `TextEncoder`."""
        return self.latin.fingerprint() + self.others.fingerprint()

    # === From texts to features ===
    def encode(
        self,
        captions: Sequence[str],
        batch_size: int = 64,
        verbose: int | str = "auto",
        cut: list[str] | None = None,
        tokens: bool = True,
    ) -> dict[str, Array]:
        """The features of captions, as in `TextEncoder.encode`; without tokens, only one encoder reads each caption.

        With tokens, `others` reads all captions, because it gives the tokens; it reports those that it cuts.
        """
        captions = clean_prompts(captions, type(self).__name__)
        latin = np.array([is_latin(caption) for caption in captions], bool)
        features: dict[str, Array] = {"pooled": np.empty((len(latin), self.pooled_dim), "float32")}
        for encoder, rows, told in ((self.others, ~latin | tokens, cut), (self.latin, latin, [] if tokens else cut)):
            if rows.any():
                part = encoder.encode(
                    [captions[row] for row in np.flatnonzero(rows).tolist()], batch_size, verbose, told, tokens
                )
                features["pooled"][rows] = part.pop("pooled")
                features = {**part, **features}
        return features

    def tokenize(self, captions: Sequence[str]) -> dict[str, Any]:
        """The inputs of `call`, from a list of strings: `TextEncoder.tokenize` of both encoders."""
        captions = clean_prompts(captions, type(self).__name__)
        parts = {"latin": self.latin.tokenize(captions), "others": self.others.tokenize(captions)}
        return {**parts, "is_latin": np.array([is_latin(caption) for caption in captions])}

    def preprocess(self, captions: Tensor) -> dict[str, Any]:
        """The inputs of `call`, from a `tf.string` tensor `(B,)`, inside a `tf.function`."""
        import tensorflow as tf

        is_latin = tf.strings.regex_full_match(clean_prompt_tensor(captions), r"(?:\PL|\p{Latin})*")
        parts = {"latin": self.latin.preprocess(captions), "others": self.others.preprocess(captions)}
        return {**parts, "is_latin": is_latin}

    def token_signature(self) -> dict[str, keras.InputSpec]:
        """As in `TextEncoder`, with `latin_` and `others_` before the names, and `is_latin`, int32 `(N,)`."""
        specs = {"is_latin": keras.InputSpec(shape=(None,), dtype="int32", name="is_latin")}
        for part, encoder in (("latin", self.latin), ("others", self.others)):
            for name, spec in encoder.token_signature().items():
                name = f"{part}_{name}"
                specs[name] = keras.InputSpec(shape=spec.shape, dtype=spec.dtype, name=name)
        return specs

    def from_tokens(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """As in `TextEncoder`."""
        features, latin = (
            encoder.from_tokens({name: inputs[f"{part}_{name}"] for name in encoder.token_signature()})
            for part, encoder in (("others", self.others), ("latin", self.latin))
        )
        rows = ops.expand_dims(ops.not_equal(inputs["is_latin"], 0), 1)
        return {**features, "pooled": ops.where(rows, latin["pooled"], features["pooled"])}

    def call(self, token_inputs: dict[str, Any], training: bool = False) -> dict[str, Tensor]:
        """`{"pooled", "tokens", "mask"}` from the result of `preprocess`."""
        features, latin = self.others(token_inputs["others"]), self.latin(token_inputs["latin"])
        rows = ops.expand_dims(token_inputs["is_latin"], 1)
        return {**features, "pooled": ops.where(rows, latin["pooled"], features["pooled"])}


def is_latin(text: str) -> bool:
    """Whether all letters of a text are Latin.

    Example:

    ```python
    is_latin("un café"), is_latin("猫"), is_latin("a 猫")      # (True, False, False)
    ```
    """
    return all(unicodedata.name(each, "").startswith("LATIN") for each in text if each.isalpha())
