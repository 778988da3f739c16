"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
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
    partial = _partial(path)
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


def check_writable(owner: str, path: str | os.PathLike) -> Path:
    """Checks, before long work, that its result can be written; makes the directory that the file is to be in.

    Args:
        owner: function or option that was given the path, which the error begins with.
        path: of a file that may exist.

    Returns:
        The path, with the user's directory for `~`.

    Raises:
        OSError: of the kind that writing would raise, if it cannot be written.

    Example:

    ```python
    file = check_writable("--json", "results/numbers.json")
    ```
    """
    path = Path(path).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a directory")
        partial = _partial(path)
        partial.touch()
        partial.unlink()
    except OSError as error:
        raise type(error)(f"{owner}: '{path}' cannot be written ({error.strerror}).") from error
    return path


def _partial(path):
    # Before the first dot, for endings of two parts such as .weights.h5.
    stem, dot, ending = path.name.partition(".")
    return path.with_name(f"{stem}.{os.getpid()}{PARTIAL}{dot}{ending}")
