"""Every command in README, the documentation and the cards has the options that it names."""

import argparse
import runpy
import sys

import pytest

from kgen.command import main, program
from tests.docs.pages import ROOT, TEXTS, commands_of


def as_script(words):
    """`python -m benchmarks.run` as the script that it runs."""
    if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
        return ("python", words[2].replace(".", "/") + ".py", *words[3:])
    return tuple(words)


COMMANDS = {as_script(words): page for page in TEXTS for words in commands_of(page)}
KGEN = [words for words in COMMANDS if words[0] == "kgen" or words[:3] == ("python", "-m", "kgen")]
SCRIPTS = [words for words in COMMANDS if words[0] == "python" and words[1].endswith(".py")]
OTHERS = {"pip", "apt-get", "for", "npm", "tar", "pytest", "ruff", "mypy", "bash", "zensical", "docker", "export"}


def name(words):
    return " ".join(words)[:60]


def test_every_command_is_of_a_kind_that_is_tested():
    known = {*KGEN, *SCRIPTS}
    rest = [words for words in COMMANDS if words not in known and words[:3] != ("python", "-m", "kgen.evaluate")]
    assert {words[0] for words in rest} <= OTHERS
    assert len(KGEN) > 20 and len(SCRIPTS) > 30


@pytest.mark.parametrize("words", KGEN, ids=name)
def test_a_command_of_kgen_can_be_parsed(words, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(program, "execute", lambda options: asked.append(options.command) or 0)
    given = list(words[words.index("kgen") + 1 :])
    assert main(given) == 0, capsys.readouterr().err
    assert asked == [given[0] if given[0] in program.COMMANDS else "generate"]


def test_the_command_of_measures_can_be_parsed(monkeypatch):
    import kgen.evaluate.command as command

    asked = []
    monkeypatch.setattr(command, "run", lambda options: asked.append(options) or {})
    lines = [words[3:] for words in COMMANDS if words[:3] == ("python", "-m", "kgen.evaluate")]
    for words in lines:
        command.main(list(words))
    assert lines and len(asked) == len(lines)


class Parsed(Exception):
    """Ends a script once it knows its options."""


@pytest.mark.parametrize("words", SCRIPTS, ids=name)
def test_a_script_has_the_options(words, monkeypatch, capsys):
    if words == ("python", "train.py"):  # the reader's own
        return
    script = ROOT / words[1]
    assert script.is_file(), COMMANDS[words]
    if "argparse" not in script.read_text(encoding="utf-8"):
        assert len(words) == 2
        return
    parse = argparse.ArgumentParser.parse_args

    def parse_and_end(*args, **kwargs):
        parse(*args, **kwargs)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_end)
    monkeypatch.setattr(sys, "argv", list(words[1:]))
    monkeypatch.syspath_prepend(str(script.parent))
    with pytest.raises(Parsed):
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit:
            pytest.fail(f"{COMMANDS[words]}: {capsys.readouterr().err}")
