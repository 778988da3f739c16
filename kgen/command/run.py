"""`kgen run`: repeats a result from its run file."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from kgen.checks import one_line
from kgen.command import outputs, program
from kgen.command.wrong_use import WrongUse
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen run cat.png.run.json                                             # into cat_2.png next to it
  kgen run cat.png.run.json -o again.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the run file that a command wrote next to its result")
    outputs.add_arguments(parser, "where to write the result; default: next to the first one, with a number")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Repeats the command in the file, and returns its result."""
    described = _read(options.file)
    command = described["command"]
    directory = Path(described["directory"])
    if not directory.is_dir():
        raise FileNotFoundError(f"the command was run in '{directory}', which does not exist.")
    # From another directory, paths are absolute.
    here = directory == Path.cwd()
    output = options.output and (Path() if here else Path.cwd()) / options.output.expanduser()
    _same_backend(described)
    try:
        again = program.parser(command).parse_args([command, *described["arguments"]])
    except SystemExit as exit:
        raise ValueError(f"'{options.file}' has arguments that this version of kgen does not accept.") from exit
    again.given = described["arguments"]
    with contextlib.chdir(directory):
        first = Path(described["output"])
        again.output = output or outputs.free(first if here else directory / first)
        again.overwrite = options.overwrite
        if command == "evaluate":
            again.json = again.output
        for path, before in described["inputs"].items():
            if not Path(path).is_file() or outputs.digest(Path(path)) != before:
                print(f"Note: '{path}' is missing or has changed; the result will differ.", file=sys.stderr)
        # `evaluate` prints its table itself.
        with results_only() if options.json else contextlib.nullcontext():
            return program.module_of(command).run(again)


def _read(file):
    try:
        described = json.loads(file.expanduser().read_text(encoding="utf-8"))
        missing = {"format", "command", "arguments", "directory", "output", "inputs"} - set(described)
        if not isinstance(described, dict):
            raise TypeError("it is not a dict")
    except (ValueError, TypeError, RecursionError) as error:
        raise ValueError(f"'{file}' is not a run file: it is not valid JSON ({one_line(error)}).") from error
    if missing or str(described["command"]) not in program.COMMANDS or described["command"] == "run":
        raise WrongUse(f"'{file}' is not a run file of kgen; commands write one next to their result.")
    kinds = {"format": int, "command": str, "directory": str, "output": str, "arguments": list, "inputs": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(described[name], kind)]
    if wrong or not all(isinstance(each, str) for each in (*described["arguments"], *described["inputs"].values())):
        raise ValueError(f"'{file}' is damaged: wrong type of {', '.join(wrong) or 'arguments and inputs'}.")
    if described["format"] > outputs.FORMAT:
        raise ValueError(f"'{file}' was written by a newer kgen. Upgrade: pip install --upgrade keras-kgen")
    return described


def _same_backend(described):
    backend = described.get("backend")
    if not backend:
        return
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = backend
        return
    import keras

    if keras.backend.backend() != backend:
        print(f"Note: it was made with the backend {backend}; pixels may differ by one level.", file=sys.stderr)
