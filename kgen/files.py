"""Files and directories that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

PARTIAL = ".partial"
# Seconds since anyone wrote to what a process that was killed has left.
_LEFT_ALONE = 3600


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A context in which to write a file under another name; it gets its own at the end, at once.

    Whoever reads `path` finds the old file or the new one, and never half of one. If the block raises, the old file
    stays, and the other is removed. Two processes that write the same file do not meet: each has its own. What killed
    ones have left is removed when it is an hour old.

    Args:
        path: of the file, in a directory that exists.

    Yields:
        The path to write to; it keeps the ending, for writers that go by it.

    Raises:
        FileNotFoundError: if the directory does not exist.

    Example:

    ```python
    with whole_file("model.keras") as partial:
        model.save(partial)
    ```
    """
    path = Path(path)
    partial = _begin(path)
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_directory(path: str | os.PathLike) -> Iterator[Path]:
    """As `whole_file`, for a directory: the block makes one under another name, and it takes the place of an older one.

    A directory cannot replace another at once: the older one is first renamed. A kill between these two moments leaves
    it under the name `*.old.partial`, and the next call gives it its name back.

    Args:
        path: of the directory, in a directory that exists.

    Yields:
        The path to make a directory at.

    Raises:
        FileNotFoundError: if the directory that it is to be in does not exist.

    Example:

    ```python
    with whole_directory("saved_model") as partial:
        tf.saved_model.save(module, partial)
    ```
    """
    # Not the name of a link, but where it leads.
    path = Path(os.path.realpath(path))
    older = path.with_name(f"{path.name}.old{PARTIAL}")
    if older.is_dir() and not path.exists():
        os.replace(older, path)
    partial = _begin(path)
    try:
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _to_disk(file)
        if path.is_dir():
            shutil.rmtree(older, ignore_errors=True)
            os.replace(path, older)
        os.replace(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if older.is_dir() and not path.exists():
            os.replace(older, path)
        shutil.rmtree(older, ignore_errors=True)


def write_whole(path: str | os.PathLike, content: bytes | str) -> None:
    """Writes a file that is there whole or not at all; text as UTF-8."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def save_whole(save: Callable, path: Any, ending: str, one_file: bool, options: dict) -> None:
    """Saves a Keras model beside the file, which is then replaced; what Keras writes in another way is left to it.

    Args:
        save: `save(path, **options)` of Keras.
        path: of the file.
        ending: that such a file has.
        one_file: whether Keras is to write one file, and without asking.
        options: of `save`.
    """
    if not one_file or "://" in str(path) or not str(path).endswith(ending):
        save(path, **options)
        return
    with whole_file(path) as partial:
        save(partial, **options)


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


def _begin(path):
    """The name to write under."""
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "No such directory", str(path.parent))
    stem, dot, ending = path.name.partition(".")
    for left in path.parent.glob(f"{glob.escape(stem)}.*{PARTIAL}{dot}{glob.escape(ending)}"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_ALONE:
                shutil.rmtree(left) if left.is_dir() else left.unlink()
    return _partial(path)


def _to_disk(file):
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())


def _partial(path):
    # Before the first dot, for endings of two parts such as .weights.h5.
    stem, dot, ending = path.name.partition(".")
    return path.with_name(f"{stem}.{os.getpid()}{PARTIAL}{dot}{ending}")
