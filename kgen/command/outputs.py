"""Where results go: checked before the work, and each with a run file that can repeat it."""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kgen.command.wrong_use import WrongUse
from kgen.files import check_writable, write_whole

FORMAT = 1
_PACKAGES = ("keras", "keras-hub", "tensorflow", "jax", "torch", "numpy", "Pillow")


def add_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds `-o`, `--overwrite` and `--json`."""
    parser.add_argument("-o", "--output", metavar="PATH", type=named_path, help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    add_json(parser)


def named_path(text: str) -> Path:
    """A `type` of argparse: a path that is not empty, as that of an unset variable is."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    if text == "-":
        raise argparse.ArgumentTypeError("results cannot go to standard output; give a file")
    return Path(text)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds `--json`."""
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def output_of(options: argparse.Namespace, otherwise: str | Path, suffixes: Iterable[str] = ()) -> Path:
    """The path for the result, checked: it is writable, and nothing there would be replaced by mistake.

    Args:
        options: have `output` (None for a free name like `otherwise`) and `overwrite`.
        otherwise: a path; `cat.png` becomes `cat_2.png` if it exists.
        suffixes: allowed suffixes of files; "" for directories.

    Raises:
        FileExistsError: if it exists, and `overwrite` was not given.
        OSError: if it cannot be written.
        WrongUse: for any other suffix.
    """
    path = free(Path(otherwise)) if options.output is None else options.output.expanduser()
    # `-o .` has a name too.
    path = path if path.name else path.resolve()
    suffixes = list(suffixes)
    if suffixes and path.suffix.lower() not in suffixes:
        files, folder = " or ".join(filter(None, suffixes)), "" in suffixes
        wanted = f"must end in {files}" + ", or have no suffix, for a folder" * folder
        raise WrongUse(f"-o: '{path}' {wanted if files else 'must be a folder, without a suffix'}.")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        if not options.overwrite:
            raise FileExistsError(f"'{path}' already exists; --overwrite replaces it, or choose another name.")
        if path.is_dir() and not run_file(path).is_file():
            raise FileExistsError(f"'{path}' is a directory that this command did not write; choose another name.")
    if not path.is_dir():
        check_writable("-o", path)
    check_writable("-o", run_file(path))
    return path


def free(path: Path) -> Path:
    """This path, or one with a number in its name if it exists: `cat_2.png`."""
    tried, number = path, 2
    while tried.exists():
        tried = path.with_name(f"{path.stem}_{number}{path.suffix}")
        number += 1
    return tried


def run_file(path: Path) -> Path:
    """The run file of a result."""
    return path.with_name(f"{path.name}.run.json")


def write_run_file(
    options: argparse.Namespace, output: Path, inputs: Mapping[str, str] | None = None, seed: int | None = None
) -> str:
    """Writes the file that can repeat a result next to it, and returns its path.

    Args:
        options: options of the command; `given` are the original arguments.
        output: the result.
        inputs: `digests` of the files that it was made from, taken before the result may have replaced one of them.
        seed: the seed that was drawn because none was given.
    """
    import keras

    import kgen

    given = [*([] if seed is None else ["--seed", str(seed)]), *options.given]
    described: dict[str, Any] = {
        "format": FORMAT,
        "command": options.command,
        "arguments": given,
        "directory": os.getcwd(),
        "output": str(output),
        "inputs": dict(inputs or {}),
        "backend": keras.backend.backend(),
        "versions": {"kgen": kgen.__version__, "python": platform.python_version(), **dict(_versions())},
    }
    file = run_file(output)
    write_whole(file, json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    return str(file)


def digests(*paths: Path) -> dict[str, str]:
    """The SHA-256 of files, by their absolute paths."""
    return {str(path.resolve()): digest(path) for path in paths}


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Removes an output that is to be replaced, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def emptied(path: Path) -> None:
    """Makes an empty directory, in place of a file, or removes what is in the one at this path, which may be a link."""
    if not path.is_dir():
        remove(path)
        path.mkdir(parents=True)
    for each in path.iterdir():
        remove(each)


def _versions():
    for name in _PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
