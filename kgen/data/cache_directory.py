"""Where kgen keeps what it can make again."""

import os
from pathlib import Path


def cache_directory(path=None):
    """The directory for cached files: `path`, else `$KGEN_CACHE`, else `$XDG_CACHE_HOME/kgen`, else `~/.cache/kgen`.

    Args:
        path: a directory, or None for the user's own.

    Returns:
        A `pathlib.Path`, which need not exist yet.
    """
    if path is None:
        path = os.environ.get("KGEN_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "kgen"
    return Path(path).expanduser()
