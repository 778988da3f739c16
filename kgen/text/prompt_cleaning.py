"""One spelling for each prompt, in Python and inside a TensorFlow graph."""

import re
import unicodedata

# All that Python's `str.split` takes for white space and NFKC leaves: ASCII controls, NEL and Unicode's separators.
_WHITE_SPACE = r"[\t-\r\x{1c}-\x{20}\x{85}\p{Z}]+"
# What nobody sees: controls that are no white space, soft hyphens, zero-width spaces, marks of direction, byte order
# marks. The joiners stay, which emoji and Persian are spelled with. Python and RE2 read this pattern alike.
_INVISIBLE = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)


def clean_prompt(prompt):
    r"""The prompt in Unicode's NFKC form, without invisible characters, with single spaces and none at the ends.

    Full-width letters, ligatures and no-break spaces become the plain ones that a vocabulary knows; control characters,
    zero-width spaces and halves of surrogate pairs go.

    Example:
        ```python
        clean_prompt("  a\u00a0red\n apple ")  # "a red apple"
        ```
    """
    # A lone surrogate is no Unicode, and no tokenizer's bytes could hold it.
    prompt = unicodedata.normalize("NFKC", prompt).encode("utf-8", "ignore").decode("utf-8")
    return " ".join(re.sub(_INVISIBLE, "", prompt).split())


def clean_prompts(prompts, owner="clean_prompts"):
    """A list of cleaned prompts, each checked.

    Args:
        prompts: list, tuple or array of strings; UTF-8 bytes, as `tf.data` gives them, count as strings.
        owner: whom an error names.

    Raises:
        TypeError: for a single string, or a prompt that is no string.
        ValueError: for no prompts at all, or a prompt without a character.

    Example:
        ```python
        clean_prompts(["a  cat", "a dog"])  # ["a cat", "a dog"]
        ```
    """
    if isinstance(prompts, (str, bytes)) or not hasattr(prompts, "__iter__") or isinstance(prompts, dict):
        raise TypeError(
            f"{owner}: captions must be a list of strings; got {prompts!r}. Write [caption] for a single one."
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
        cleaned.append(clean_prompt(prompt))
        if not cleaned[-1]:
            raise ValueError(f"{owner}: caption {i} is empty ({prompt!r}); write what the picture shows.")
    return cleaned


def clean_prompt_tensor(prompts):
    """`clean_prompt` for a `tf.string` tensor of any shape, to go into a `tf.function`.

    The two differ only for characters that Python's Unicode tables and those of TensorFlow Text (ICU) know from
    different versions of Unicode.

    Raises:
        ImportError: TensorFlow or TensorFlow Text is missing.

    Example:
        ```python
        clean_prompt_tensor(tf.constant(["a  cat "]))  # ["a cat"]
        ```
    """
    try:
        import tensorflow as tf
        import tensorflow_text
    except ImportError as error:
        raise ImportError(
            "clean_prompt_tensor: prompts inside a graph need TensorFlow and TensorFlow Text on every backend: "
            "pip install tensorflow tensorflow-text"
        ) from error
    prompts = tensorflow_text.normalize_utf8(prompts, "NFKC")
    prompts = tf.strings.regex_replace(prompts, _INVISIBLE, "")
    return tf.strings.strip(tf.strings.regex_replace(prompts, _WHITE_SPACE, " "))
