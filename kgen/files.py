"""Files and directories that exist completely or not at all."""

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
# Seconds without a write after which a partial file counts as left by a killed process.
_LEFT_ALONE = 3600


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """A context that writes a file under another name and renames it at the end, in one step.

    Readers of `path` find the old file or the new one, never half of one. If the block raises, the old file stays, and
    the new one is removed. Two processes can write the same file: each has its own partial file. Partial files of
    killed processes are removed when they are an hour old.

    Args:
        path: path of the file, in an existing directory.

    Yields:
        The path to write to; it keeps the ending, because some writers depend on it.

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
    """As `whole_file`, for a directory: the block creates it under another name, and then it replaces an older one.

    A directory cannot replace another in one step, so the older one is renamed first. A kill in between leaves it as
    `*.old.partial`, and the next call restores its name.

    Args:
        path: path of the directory, in an existing directory.

    Yields:
        The path at which to create the directory.

    Raises:
        FileNotFoundError: if the parent directory does not exist.

    Example:

    ```python
    with whole_directory("saved_model") as partial:
        tf.saved_model.save(module, partial)
    ```
    """
    # Follows a link to its target.
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
    """Writes a file completely or not at all; text as UTF-8."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


def save_whole(save: Callable, path: Any, ending: str, one_file: bool, options: dict) -> None:
    """Saves a Keras model under another name, then replaces the file; other kinds of output are left to Keras.

    Args:
        save: Keras' `save(path, **options)`.
        path: path of the file.
        ending: the ending of such files.
        one_file: whether Keras should write one file, without asking before it overwrites.
        options: options of `save`.
    """
    if not one_file or "://" in str(path) or not str(path).endswith(ending):
        save(path, **options)
        return
    with whole_file(path) as partial:
        save(partial, **options)


def check_writable(owner: str, path: str | os.PathLike) -> Path:
    """Checks before long work that its result can be written; creates the parent directory.

    Args:
        owner: function or option that was given the path; the error begins with it.
        path: path of a file, which may exist.

    Returns:
        The path, with `~` replaced by the user's directory.

    Raises:
        OSError: of the type that writing would raise, if the file cannot be written.

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
    # Inserted before the first dot, because of two-part endings such as .weights.h5.
    stem, dot, ending = path.name.partition(".")
    return path.with_name(f"{stem}.{os.getpid()}{PARTIAL}{dot}{ending}")
