"""The program: picks the sub-command, parses its options, and sets the exit status."""

from __future__ import annotations

import argparse
import difflib
import importlib
import json
import os
import shlex
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from kgen.command.wrong_use import WrongUse

# What each one does. Each is a module of this package with EXAMPLES, `add_arguments(parser)`, and `run(options)`, which
# returns a dict for JSON. It may also have `lines(result)`, the same for people, and `expanded(arguments)`.
COMMANDS = {
    "generate": "draw images from prompts, or from a GAN or a VAE",
    "train": "train a text-to-image model on a folder of captioned images",
    "evaluate": "measure how close generated images are to real ones",
    "restore": "remove noise from photographs, enlarge them, or fill in missing areas",
    "stylize": "draw an image in the style of another",
    "classify": "say what images show",
    "export": "write a model as a SavedModel, ONNX or another format, for use without kgen",
    "demo": "open a page that redraws the image as you type",
    "info": "describe a model",
    "presets": "list the trained models that come with kgen",
    "run": "repeat the command in a run file, with the same result to the bit",
}
DEFAULT_MODEL = "openmoji_128"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a sub-command: `kgen generate openmoji_64 "a red apple" -o apple.png`.

    Args:
        arguments: the command line's arguments; None: those of this process.

    Returns:
        The exit status: 0: done; 1: the work failed; 2: wrong use; 130: interrupted.

    Example:

    ```python
    kgen.command.main(["generate", "openmoji_64", "a red apple", "-o", "apple.png"])      # 0
    ```
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments and arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
        word = arguments[0]
        # No command has a space in its name.
        meant = [] if " " in word else difflib.get_close_matches(word, COMMANDS, n=1, cutoff=0.7)
        if meant:
            hint = f"Did you mean {meant[0]!r}? To draw it: kgen generate {DEFAULT_MODEL} {shlex.quote(word)}"
            return _failed("kgen", f"there is no command {word!r}. {hint}", 2)
        # `kgen "a red apple"`.
        print(f"kgen: using the preset {DEFAULT_MODEL}; `kgen generate MODEL PROMPT` uses another.", file=sys.stderr)
        arguments = ["generate", DEFAULT_MODEL, *arguments]
    if not arguments:
        arguments = ["--help"]
    try:
        if arguments[0] in COMMANDS:
            arguments[1:] = getattr(module_of(arguments[0]), "expanded", list)(arguments[1:])
        options = parser(arguments[0]).parse_args(arguments)
    except SystemExit as exit:
        return int(exit.code or 0)
    except WrongUse as error:
        return _failed(f"kgen {arguments[0]}", error, 2)
    options.given = arguments[1:]
    return execute(options)


def execute(options: argparse.Namespace) -> int:
    """Runs the sub-command of parsed options, prints its result, and returns the exit status."""
    name = f"kgen {options.command}"
    try:
        module = module_of(options.command)
        result = module.run(options)
        print_result(module, result, getattr(options, "json", False) is True)
    except WrongUse as error:
        return _failed(name, error, 2)
    except KeyboardInterrupt:
        return _failed(name, "interrupted.", 130)
    except BrokenPipeError:
        # The reader of standard output has stopped reading. Python would complain again when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  (any error is reported in one line)
        if options.traceback:
            raise
        known = isinstance(error, (OSError, TypeError, ValueError, ImportError, RuntimeError, NotImplementedError))
        return _failed(name, error if known else f"{type(error).__name__}: {error}. --traceback shows where.", 1)
    return 0


def print_result(module: ModuleType, result: dict[str, Any], as_json: bool) -> None:
    """Prints a sub-command's result, as JSON or as lines for people: by default its files."""
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        for line in getattr(module, "lines", _files)(result):
            print(line)
    sys.stdout.flush()


def parser(command: str | None = None) -> argparse.ArgumentParser:
    """The parser of the whole command line.

    Args:
        command: the only sub-command that will be parsed; None: all of them, for completion. Loading the options of
            some takes seconds.
    """
    made = _Parser("kgen", description="Fast generative image models: draw, train, measure, restore.", epilog=_EPILOG)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--version", action=_Version, help="print the version and exit")
    _add_completion(made)
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        described: dict[str, Any] = {
            "help": summary,
            "description": f"{summary[0].upper()}{summary[1:]}.",
            "formatter_class": _Help,
        }
        if command not in (None, name):
            commands.add_parser(name, **described)
            continue
        module = module_of(name)
        part = commands.add_parser(name, **described, epilog=f"examples:\n{module.EXAMPLES}")
        module.add_arguments(part)
        part.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    return made


def module_of(command: str) -> ModuleType:
    """The module of a sub-command."""
    return importlib.import_module(f"kgen.command.{command}")


class _Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults, except None, False and []."""

    def _get_help_string(self, action):
        none = action.default in (None, False, argparse.SUPPRESS) or action.default == []
        return action.help if none else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Reports errors in one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **{"allow_abbrev": False, **kwargs})

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


class _Version(argparse.Action):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, nargs=0, **kwargs)

    def __call__(self, parser, *_):
        import kgen

        print(f"kgen {kgen.__version__}")
        parser.exit()


def _add_completion(made):
    """Adds `--print-completion SHELL` if shtab is installed."""
    try:
        import shtab
    except ImportError:
        return

    class Completion(argparse.Action):
        def __call__(self, _, namespace, shell, *args):
            print(shtab.complete(parser(), shell))
            made.exit()

    made.add_argument("--print-completion", choices=shtab.SUPPORTED_SHELLS, action=Completion, help="print it and exit")


def _files(result):
    return result.get("files", [])


def _failed(name, error, code):
    words = " ".join(str(error).split())
    # kgen's errors begin with the name of the function; the command's name must not appear twice.
    print(f"{name}: {words.removeprefix(name.replace(' ', '.') + ': ')}", file=sys.stderr)
    return code


_EPILOG = f"""examples:
  kgen "a red apple"                                        # with the preset {DEFAULT_MODEL}, into a_red_apple.png
  kgen generate {DEFAULT_MODEL} "a smiling cat" -o cat.png
  kgen train my_images                                      # your own images, with captions
  kgen COMMAND --help                                       # help for a command

Next to every result, RESULT.run.json records how to repeat it: kgen run cat.png.run.json"""
