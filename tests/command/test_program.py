import argparse
import json
import os
import shlex
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

import kgen as package
from kgen.command import main, program

ROOT = Path(package.__file__).parents[1]


def shell(*command, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, **options)


# === Help ===
@pytest.mark.parametrize("command", program.COMMANDS)
def test_help_shows_examples_that_can_be_parsed(kgen, command):
    code, out, err = kgen(command, "--help")
    assert code == 0 and f"usage: kgen {command}" in out and "examples:" in out
    for line in program.module_of(command).EXAMPLES.splitlines():
        words = shlex.split(line, comments=True)
        assert words[:2] == ["kgen", words[1]] and words[1] in program.COMMANDS
        options = program.parser(words[1]).parse_args(words[1:])
        assert options.command == words[1]


def test_the_whole_and_its_version(kgen):
    for arguments in ((), ("--help",)):
        code, out, err = kgen(*arguments)
        assert code == 0 and all(f"\n    {name}" in out for name in program.COMMANDS)
        assert 'kgen "a red apple"' in out
    assert kgen("--version")[:2] == (0, f"kgen {package.__version__}\n")


def test_completion(kgen, monkeypatch):
    class Shtab:
        SUPPORTED_SHELLS = ["bash"]

        @staticmethod
        def complete(parser, shell):
            (commands,) = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
            options = {name: part.format_help() for name, part in commands.choices.items()}
            return f"{shell} {'--num-images' in options['evaluate']} {'--truncation' in options['generate']}"

    monkeypatch.setitem(sys.modules, "shtab", Shtab)
    assert kgen("--print-completion", "bash")[:2] == (0, "bash True True\n")


# === What comes first ===
def test_a_prompt_alone_is_drawn_by_the_default_preset(kgen, monkeypatch):
    given = {}
    monkeypatch.setattr("kgen.command.generate.run", lambda options: given.update(vars(options)) or {"files": ["x"]})
    code, out, err = kgen("a red apple", "--seed", 3)
    assert (code, out) == (0, "x\n") and "using the preset openmoji_128" in err
    assert (given["model"], given["prompts"], given["seed"]) == ("openmoji_128", ["a red apple"], 3)


@pytest.mark.parametrize("prompt", ["a train", "a present", "some presets"])
def test_words_that_look_like_a_command_are_a_prompt(kgen, monkeypatch, prompt):
    given = {}
    monkeypatch.setattr("kgen.command.generate.run", lambda options: given.update(vars(options)) or {"files": []})
    assert kgen(prompt)[0] == 0 and given["prompts"] == [prompt]


def test_a_command_with_a_slip_is_no_prompt(failed):
    line = "kgen: there is no command 'genrate'. Did you mean 'generate'? To draw it: kgen generate openmoji_128 "
    assert failed(2, "genrate", "x") == f"{line}genrate"
    assert failed(2, "--colour").startswith("kgen: ")


# === How it ends ===
def test_errors(kgen, failed, monkeypatch):
    def raises(error):
        def run(options):
            raise error

        monkeypatch.setattr("kgen.command.presets.run", run)

    raises(OSError("the disk\nis full"))
    assert failed(1, "presets") == "kgen presets: the disk is full"
    raises(ZeroDivisionError("by zero"))
    assert failed(1, "presets") == "kgen presets: ZeroDivisionError: by zero. --traceback shows where."
    with pytest.raises(ZeroDivisionError):
        main(["presets", "--traceback"])
    raises(KeyboardInterrupt())
    assert failed(130, "presets") == "kgen presets: interrupted."


# === As a user runs it ===
def test_the_entry_point_is_announced():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"kgen": "kgen.command:main"}


def test_what_needs_no_model_imports_no_keras(tmp_path):
    code = "import sys; sys.argv[0] = 'kgen'; import kgen.command as c; sys.argv[1:] = {}; code = c.main(); "
    code += "print(code, 'keras' in sys.modules, 'matplotlib' in sys.modules)"
    for arguments, ends in (["presets"], 0), (["generate", "none", "a cat"], 2), (["train", "--steps", "0", "x"], 2):
        said = shell(sys.executable, "-c", code.format(arguments), cwd=tmp_path)
        assert said.stdout.splitlines()[-1] == f"{ends} False False", said.stderr
    said = shell(sys.executable, "-m", "kgen", "info", "openmoji_64", "--json", cwd=tmp_path)
    assert json.loads(said.stdout)["class"] == "TextToImage" and said.returncode == 0


def test_a_cold_start(tmp_path):
    """From nothing to a file: a few seconds, of which TensorFlow's import takes most."""
    began = time.monotonic()
    command = [sys.executable, "-m", "kgen", "a smiling cat"]
    said = shell(*command, cwd=tmp_path)
    seconds = time.monotonic() - began
    assert said.returncode == 0 and said.stdout == "a_smiling_cat.png\n", said.stderr
    assert (tmp_path / "a_smiling_cat.png").stat().st_size > 1000
    assert said.stderr.count("\n") <= 3 and "oneDNN" not in said.stderr
    code = "import time; began = time.monotonic(); import tensorflow; print(time.monotonic() - began)"
    alone = float(shell(sys.executable, "-c", code).stdout)
    # In units of what nobody can do without, which others that run beside it leave as they are.
    assert seconds < 4 * alone + 1
