"""Two text encoders that give the same features: one for texts in Latin script, one for all others."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kgen.types import Array

if TYPE_CHECKING:
    from kgen.text.text_encoder import TextEncoder


class EncoderByScript:
    """Pooled features from one encoder for texts in Latin script, and from another for all others.

    A language model of English knows more English than a small encoder that was distilled from it, but no Chinese. Both
    give the same pooled features, as well as the small one has learned them. Tokens always come from `others`.

    Args:
        latin: a `TextEncoder` for texts with only Latin letters.
        others: a `TextEncoder` for all other texts.

    Raises:
        ValueError: if their pooled features have different lengths.

    Example:

    ```python
    encoder = kgen.text.EncoderByScript(kgen.text.TextEncoder.of("all_minilm_l6_v2_en"), small_encoder)
    encoder.encode(["a black cat", "一只黑色的猫"])["pooled"].shape      # (2, 384)
    ```
    """

    def __init__(self, latin: TextEncoder, others: TextEncoder):
        if latin.pooled_dim != others.pooled_dim:
            raise ValueError(
                f"EncoderByScript: the pooled features of one encoder are of length {latin.pooled_dim}, the other of "
                f"{others.pooled_dim}; they must be of the same."
            )
        self.latin = latin
        self.others = others

    def encode(
        self,
        captions: Sequence[str],
        batch_size: int = 64,
        verbose: int | str = "auto",
        cut: list[str] | None = None,
    ) -> dict[str, Array]:
        """The features of captions, as in `TextEncoder.encode`; what `others` cuts is told, for it gives the tokens."""
        features = self.others.encode(captions, batch_size, verbose, cut)
        rows = [row for row, caption in enumerate(captions) if is_latin(caption)]
        if rows:
            latin = self.latin.encode([captions[row] for row in rows], batch_size, verbose, cut=[])
            features["pooled"][rows] = latin["pooled"]
        return features


def is_latin(text: str) -> bool:
    """Whether all letters of a text are Latin.

    Example:

    ```python
    is_latin("un café"), is_latin("猫"), is_latin("a 猫")      # (True, False, False)
    ```
    """
    return all(unicodedata.name(each, "").startswith("LATIN") for each in text if each.isalpha())
