"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

PARTIAL = ".partial"


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A context in which to write a file under another name; it gets its own at the end, at once.

    Whoever reads `path` finds the old file or the new one, and never half of one. If the block raises, the old file
    stays, and the other is removed. Two processes that write the same file do not meet: each has its own.

    Args:
        path: of the file, in a directory that exists.

    Yields:
        The path to write to; it keeps the ending, for writers that go by it.

    Example:

    ```python
    with whole_file("model.keras") as partial:
        model.save(partial)
    ```
    """
    path = Path(path)
    # Before the first dot, for endings of two parts such as .weights.h5.
    stem, dot, ending = path.name.partition(".")
    partial = path.with_name(f"{stem}.{os.getpid()}{PARTIAL}{dot}{ending}")
    try:
        yield partial
        with open(partial, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes a file that is there whole or not at all; text as UTF-8."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
