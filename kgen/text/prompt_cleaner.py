"""Prompts in one spelling, and without stop words where that is asked for."""

from __future__ import annotations

import re

import keras

from kgen.text.prompt_cleaning import clean_prompt, clean_prompt_tensor, clean_prompts
from kgen.text.stop_words import KEPT, STOP_WORDS

# Scripts that put no space between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@keras.saving.register_keras_serializable(package="kgen")
class PromptCleaner:
    """Cleans prompts as `clean_prompts` does, and takes stop words out: in Python, and the same in a graph.

    The spelling is Unicode's NFKC form without invisible characters, and with single spaces. Stop words stay by
    default, because a pretrained encoder has learned whole sentences: by one English name of an OpenMoji, MiniLM finds
    the other among 627 at once for 69.1% of them with stop words, and for 68.9% without. Taking them out helps where
    sentences are to meet bare names: 99.3% in place of 97.7% among 1,644 (benchmarks/README.md). A model that is to
    draw without them is to learn without them too.

    A prompt of stop words alone stays as it is.

    Args:
        stop_words: `"en"` or `"zh"` for a small list of kgen's; a list of words; or None. Words are compared without
            regard to case. Those of a script without spaces, such as Chinese, are taken out wherever they stand, but
            for a few longer words which they are part of.

    Raises:
        ValueError: for a language without a list, or a stop word that is no string, or empty.

    Example:
        ```python
        kgen.text.PromptCleaner(stop_words="en").clean(["This is  a ｒｅｄ apple"])  # ["red apple"]
        ```
    """

    def __init__(self, stop_words=None):
        self.stop_words = stop_words
        words = _words(stop_words)
        unspaced = [word for word in words if _WITHOUT_SPACES.search(word)]
        spaced = [word for word in words if word not in unspaced]
        # Both patterns are read alike by Python and by RE2, which is TensorFlow's.
        self._spaced = rf"(?i) (?:{_either(spaced)}) " if spaced else None
        self._unspaced = f"({_either(KEPT)})|{_either(unspaced)}" if unspaced else None

    def clean(self, prompts, owner="PromptCleaner"):
        """A list of cleaned prompts, each checked as by `clean_prompts`."""
        return [self._without_stop_words(prompt) for prompt in clean_prompts(prompts, owner)]

    def clean_tensor(self, prompts):
        """What `clean` does, for a `tf.string` tensor inside a `tf.function`; an empty prompt stays empty."""
        import tensorflow as tf

        prompts = clean_prompt_tensor(prompts)
        shorter = prompts
        if self._spaced:
            shorter = tf.strings.regex_replace(" " + shorter + " ", " ", "  ")
            shorter = clean_prompt_tensor(tf.strings.regex_replace(shorter, self._spaced, " "))
        if self._unspaced:
            shorter = clean_prompt_tensor(tf.strings.regex_replace(shorter, self._unspaced, r"\1"))
        return tf.where(shorter == "", prompts, shorter)

    def _without_stop_words(self, prompt):
        shorter = prompt
        if self._spaced:
            # Each word between spaces of its own.
            shorter = clean_prompt(re.sub(self._spaced, " ", f" {shorter} ".replace(" ", "  ")))
        if self._unspaced:
            shorter = clean_prompt(re.sub(self._unspaced, r"\1", shorter))
        return shorter or prompt

    # === Config ===
    def get_config(self):
        """The constructor's arguments."""
        return {"stop_words": self.stop_words if self.stop_words is None else _plain(self.stop_words)}

    @classmethod
    def from_config(cls, config):
        """A cleaner of a configuration."""
        return cls(**config)


def _plain(stop_words):
    return stop_words if isinstance(stop_words, str) else list(stop_words)


def _words(stop_words):
    if stop_words is None:
        return []
    if isinstance(stop_words, str):
        if stop_words not in STOP_WORDS:
            raise ValueError(
                f"PromptCleaner: stop_words must be {', '.join(map(repr, STOP_WORDS))}, a list of words, or None; got "
                f"{stop_words!r}."
            )
        return list(STOP_WORDS[stop_words])
    words = list(stop_words)
    strange = [word for word in words if not isinstance(word, str) or not clean_prompt(word)]
    if strange:
        raise ValueError(f"PromptCleaner: a stop word must be a string of one character or more; got {strange[0]!r}.")
    return [clean_prompt(word) for word in words]


def _either(words):
    """A pattern for any of the words, the longest first; spaces within one are double, as between words."""
    return "|".join(re.escape(word.replace(" ", "  ")) for word in sorted(words, key=len, reverse=True))
