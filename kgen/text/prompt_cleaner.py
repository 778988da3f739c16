"""Prompts in one spelling, and without stop words on request; in Python and in a TensorFlow graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from kgen.captions import INVISIBLE, clean_prompt
from kgen.serializable import serializable
from kgen.text.unicode_tensors import nfkc
from kgen.types import Tensor

# Characters of a prompt. Text encoders read a few dozen words, and Unicode normalisation takes quadratic time.
_LONGEST = 20_000
# All that Python's `str.split` takes for white space and NFKC leaves: ASCII controls, NEL and Unicode's separators.
_WHITE_SPACE = r"[\t-\r\x{1c}-\x{20}\x{85}\p{Z}]+"
# Articles, copulas, pronouns and politeness. Not here: words of place, number and negation, which an image does show.
_ENGLISH = """
a an the this that these those some such
am is are was were be been being has have had do does did
i me my we us our you your he him his she her it its they them their
who whom whose which what there here
of and as so very really just also please
"""
# Measure words with "one", and particles. Single characters only where few words contain them.
_CHINESE = """
一个 一只 一张 一幅 一条 一些 一种 一位 一座 一朵 一棵 一头 一匹 一件 一辆 一块 一本 一把
这个 那个 这只 那只 这些 那些 这是 那是 请 的 了 吗 呢
"""
STOP_WORDS = {"en": tuple(_ENGLISH.split()), "zh": tuple(_CHINESE.split())}
# Words that contain a stop word and stay whole: purpose, taxi, understand, lookout, for the sake of, invite, request,
# apply, flannel.
KEPT = ("目的", "的士", "了解", "了望", "为了", "邀请", "请求", "申请", "呢绒")
# Scripts without spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
_WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@serializable
class PromptCleaner:
    """Cleans prompts as `clean_prompts` does, and removes stop words; in Python, and the same in a graph.

    By default stop words stay, because a pretrained encoder has learned whole sentences: given one English name of an
    OpenMoji, MiniLM finds its other name first among 627 in 69.1% of cases with stop words and in 68.9% without.
    Removing them helps to match sentences with bare names: 99.3% instead of 97.7% among 1,644 (docs/measured).
    A model that generates without stop words should be trained without them too.

    A prompt that is all stop words stays as it is.

    Args:
        stop_words: `"en"` or `"zh"` for a small list in kgen; a list of words; or None. Case does not matter. Words of
            a script without spaces, such as Chinese, are removed wherever they stand, except inside a few longer words.

    Raises:
        ValueError: for a language without a list, or a stop word that is not a string, or empty.

    Example:

    ```python
    kgen.text.PromptCleaner(stop_words="en").clean(["This is  a ｒｅｄ apple"])      # ["red apple"]
    ```
    """

    def __init__(self, stop_words: str | Iterable[str] | None = None):
        self.stop_words = stop_words if stop_words is None or isinstance(stop_words, str) else list(stop_words)
        words = _words(self.stop_words)
        unspaced = [word for word in words if _WITHOUT_SPACES.search(word)]
        spaced = [word for word in words if word not in unspaced]
        # Python and RE2, which is TensorFlow's, read both patterns alike.
        self._spaced = rf"(?i) (?:{_either(spaced)}) " if spaced else None
        self._unspaced = f"({_either(KEPT)})|{_either(unspaced)}" if unspaced else None

    def clean(self, prompts: Sequence[str | bytes], owner: str = "PromptCleaner") -> list[str]:
        """A list of cleaned prompts; checked as in `clean_prompts`."""
        return [self._without_stop_words(prompt) for prompt in clean_prompts(prompts, owner)]

    def clean_tensor(self, prompts: Tensor) -> Tensor:
        """The same as `clean`, for a `tf.string` tensor inside a `tf.function`; an empty prompt stays empty."""
        import tensorflow as tf

        prompts = clean_prompt_tensor(prompts)
        shorter = prompts
        if self._spaced:
            shorter = tf.strings.regex_replace(" " + shorter + " ", " ", "  ")
            shorter = clean_prompt_tensor(tf.strings.regex_replace(shorter, self._spaced, " "))
        if self._unspaced:
            shorter = clean_prompt_tensor(tf.strings.regex_replace(shorter, self._unspaced, r"\1"))
        return tf.where(shorter == "", prompts, shorter)

    def patterns(self) -> dict[str, str | None]:
        """The patterns of stop words, or None: what another programming language needs to do the same.

        In a prompt with single spaces, double each space and put one at either end; replace each match of `spaced`,
        ignoring case, by a space; make spaces single again. Replace each match of `unspaced` by its first group. If
        nothing is left, the prompt stays as it was.
        """
        spaced = self._spaced and self._spaced.removeprefix("(?i)")
        return {"spaced": spaced, "unspaced": self._unspaced}

    def _without_stop_words(self, prompt):
        shorter = prompt
        if self._spaced:
            # Two spaces between words, so that each word has its own spaces.
            shorter = clean_prompt(re.sub(self._spaced, " ", f" {shorter} ".replace(" ", "  ")))
        if self._unspaced:
            shorter = clean_prompt(re.sub(self._unspaced, r"\1", shorter))
        return shorter or prompt


def clean_prompts(prompts: Any, owner: str = "clean_prompts") -> list[str]:
    """A list of cleaned prompts, each checked.

    Args:
        prompts: list, tuple or array of strings; UTF-8 bytes, as `tf.data` gives them, count as strings.
        owner: name that an error begins with.

    Raises:
        TypeError: for a single string, or a prompt that is not a string.
        ValueError: for no prompts, or a prompt without visible characters, or with more than 20,000 characters.

    Example:

    ```python
    clean_prompts(["a  cat", "a dog"])      # ["a cat", "a dog"]
    ```
    """
    if isinstance(prompts, (str, bytes)) or not hasattr(prompts, "__iter__") or isinstance(prompts, dict):
        raise TypeError(
            f"{owner}: captions must be a list of strings; got {prompts!r}. For a single caption, pass [caption]."
        )
    prompts = list(prompts)
    if not prompts:
        raise ValueError(f"{owner}: got an empty list of captions; give at least one string.")
    cleaned = []
    for i, prompt in enumerate(prompts):
        if isinstance(prompt, bytes):
            prompt = prompt.decode("utf-8")
        if not isinstance(prompt, str):
            raise TypeError(f"{owner}: caption {i} must be a string; got {prompt!r}, a {type(prompt).__name__}.")
        if len(prompt) > _LONGEST:
            raise ValueError(f"{owner}: caption {i} has {len(prompt):,} characters; at most {_LONGEST:,} are allowed.")
        cleaned.append(clean_prompt(prompt))
        if not cleaned[-1]:
            raise ValueError(f"{owner}: caption {i} is empty ({prompt!r}); write what the image shows.")
    return cleaned


def clean_prompt_tensor(prompts: Tensor) -> Tensor:
    """`clean_prompt` for a `tf.string` tensor (N,), inside a `tf.function`; marks of one letter stay in their order.

    Raises:
        ImportError: TensorFlow is missing.

    Example:

    ```python
    clean_prompt_tensor(tf.constant(["a  cat "]))      # ["a cat"]
    ```
    """
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ImportError(
            "clean_prompt_tensor: prompts inside a graph need TensorFlow on every backend: pip install tensorflow"
        ) from error
    prompts = tf.strings.regex_replace(nfkc(prompts), INVISIBLE, "")
    return tf.strings.strip(tf.strings.regex_replace(prompts, _WHITE_SPACE, " "))


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
    strange = [word for word in stop_words if not isinstance(word, str) or not clean_prompt(word)]
    if strange:
        raise ValueError(f"PromptCleaner: a stop word must be a non-empty string; got {strange[0]!r}.")
    return [clean_prompt(word) for word in stop_words]


def _either(words):
    """A pattern for any of the words, the longest first; with two spaces inside, as between words."""
    return "|".join(re.escape(word.replace(" ", "  ")) for word in sorted(words, key=len, reverse=True))
