"""Where kgen keeps files that it can recreate."""

from __future__ import annotations

import os
from pathlib import Path


def cache_directory(path: str | os.PathLike | None = None) -> Path:
    """The directory for cached files: `path`, else `$KGEN_CACHE`, else `$XDG_CACHE_HOME/kgen`, else `~/.cache/kgen`.

    Args:
        path: a directory, or None for the user's default.

    Returns:
        A path; the directory need not exist yet.

    Example:

    ```python
    cache_directory() / "openmoji.npz"
    ```
    """
    if path is None:
        path = os.environ.get("KGEN_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kgen"
    return Path(path).expanduser()
