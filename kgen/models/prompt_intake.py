"""What a text-to-image model is asked for, made ready: prompts become texts, and texts features."""

from __future__ import annotations

import numpy as np
from keras import ops

from kgen.text import clean_prompts

_GIVEN = ("seeds", "indices", "latents", "truncation", "guidance")
_NEGATIVE = "negative_"


class PromptIntake:
    """Prompts on their way to the generator: checked, expanded, cleaned, encoded, drawn to what is known.

    Args:
        encoder: a `TextEncoder`.
        cleaner: a `PromptCleaner`, or None.
        expander: a `PromptExpander`, or None.
        memory: a `FeatureMemory` for pooled features, or None.
    """

    def __init__(self, encoder, cleaner=None, expander=None, memory=None):
        self.encoder = encoder
        self.memory = memory
        self.cleaner = cleaner
        self.expander = expander

    def read(self, prompts, owner, expand=True):
        """A list of the texts that the encoder is to read, one for each prompt; errors name `owner`."""
        texts = clean_prompts(prompts, owner)
        # A language model wants whole sentences: the cleaner, which may take words out, comes after it.
        if expand and self.expander is not None:
            texts = self.expander.expand(texts)
        return texts if self.cleaner is None else self.cleaner.clean(texts, owner)

    def features(self, texts, negative=None, images_each=1, batch_size=64, verbose="auto"):
        """Features as `TextEncoder.encode` gives them, `images_each` rows for each text, each text encoded once.

        Args:
            texts: what `read` gave.
            negative: None; or a prompt for all texts, or one for each, whose features have names `negative_...`.
            images_each: rows for each text.
            batch_size, verbose: as of `TextEncoder.encode`.

        Raises:
            TypeError: if a negative prompt is no string.
            ValueError: if there are not as many of them as texts, or one is empty.
        """
        wanted = {"": texts}
        if negative is not None:
            negative = [negative] * len(texts) if isinstance(negative, str) else negative
            wanted[_NEGATIVE] = self.read(negative, "TextToImage.generate: negative_prompts", expand=False)
            if len(wanted[_NEGATIVE]) != len(texts):
                raise ValueError(
                    "TextToImage.generate: give one negative prompt, or one for each prompt; got "
                    f"{len(wanted[_NEGATIVE])} for {len(texts)}."
                )
        number = {text: i for i, text in enumerate(dict.fromkeys(sum(wanted.values(), [])))}
        encoded = self.encoder.encode(list(number), batch_size=batch_size, verbose=verbose)
        if self.memory is not None:
            encoded["pooled"] = ops.convert_to_numpy(self.memory(encoded["pooled"]))
        features = {}
        for prefix, each in wanted.items():
            rows = np.repeat([number[text] for text in each], images_each)
            features.update({prefix + name: values[rows] for name, values in encoded.items()})
        return features


def split_inputs(inputs):
    """`(features, features of negative prompts, the rest)` of the inputs of a text-to-image model's `draw`."""
    given = {key: value for key, value in inputs.items() if key in _GIVEN}
    negative = {key.removeprefix(_NEGATIVE): value for key, value in inputs.items() if key.startswith(_NEGATIVE)}
    features = {key: value for key, value in inputs.items() if key not in given and not key.startswith(_NEGATIVE)}
    return features, negative, given
