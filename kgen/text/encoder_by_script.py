"""Two text encoders that give the same features: one for texts in Latin script, one for all."""

import unicodedata


class EncoderByScript:
    """Pooled features of texts in Latin script from an encoder that reads nothing else, of the others from another.

    A language model of English knows more English than a small encoder that was distilled from it, and no Chinese. Both
    give the same pooled features, as far as the one has learned them of the other; tokens are the second one's.

    Args:
        latin: a `TextEncoder` for texts of which all letters are Latin.
        others: a `TextEncoder` for the rest.

    Raises:
        ValueError: if their pooled features are of different lengths.

    Example:

    ```python
    encoder = kgen.text.EncoderByScript(kgen.text.TextEncoder.of("all_minilm_l6_v2_en"), small_encoder)
    encoder.encode(["a black cat", "一只黑色的猫"])["pooled"].shape      # (2, 384)
    ```
    """

    def __init__(self, latin, others):
        if latin.pooled_dim != others.pooled_dim:
            raise ValueError(
                f"EncoderByScript: one encoder gives pooled features of length {latin.pooled_dim}, the other of "
                f"{others.pooled_dim}; they must give the same."
            )
        self.latin = latin
        self.others = others

    def encode(self, captions, batch_size=64, verbose="auto"):
        """Features as of `TextEncoder.encode`."""
        features = self.others.encode(captions, batch_size, verbose)
        rows = [row for row, caption in enumerate(captions) if is_latin(caption)]
        if rows:
            latin = self.latin.encode([captions[row] for row in rows], batch_size, verbose)
            features["pooled"][rows] = latin["pooled"]
        return features


def is_latin(text):
    """Whether all letters of a text are Latin.

    Example:

    ```python
    is_latin("un café"), is_latin("猫"), is_latin("a 猫")      # (True, False, False)
    ```
    """
    return all(unicodedata.name(each, "").startswith("LATIN") for each in text if each.isalpha())
