"""Captions and prompts in one normal form."""

from __future__ import annotations

import re
import unicodedata

# Invisible characters: controls that are not white space, soft hyphens, zero-width spaces, direction marks, byte order
# marks. Joiners stay: emoji and Persian need them. Python and RE2 read this pattern the same way.
INVISIBLE = (
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad"
    "\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)


def clean_prompt(prompt: str) -> str:
    r"""The prompt in Unicode's NFKC form, without invisible characters, with single spaces and none at the ends.

    Full-width letters, ligatures and no-break spaces become plain characters, which vocabularies contain. Control
    characters, zero-width spaces and lone surrogates are removed.

    Example:

    ```python
    clean_prompt("  a\u00a0red\n apple ")      # "a red apple"
    ```
    """
    # A lone surrogate is not Unicode, and cannot be written in UTF-8.
    prompt = unicodedata.normalize("NFKC", prompt).encode("utf-8", "ignore").decode("utf-8")
    return " ".join(re.sub(INVISIBLE, "", prompt).split())


def caption_fault(caption: str) -> str:
    r"""The fault of a caption, in two or three words; "" if there is none.

    Example:

    ```python
    caption_fault("a cat"), caption_fault("\u200b")      # ("", "empty caption")
    ```
    """
    try:
        caption.encode("utf-8")
    except UnicodeEncodeError:
        return "not Unicode (half of a surrogate pair)"
    return "" if clean_prompt(caption) else "empty caption"
