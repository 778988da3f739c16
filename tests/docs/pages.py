"""The pages of the documentation, README among them, and the code and commands in them."""

import re
import shlex
from pathlib import Path

import kgen

ROOT = Path(kgen.__file__).parents[1]
SITE = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))
CARDS = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("kgen/presets/*/README.md"))
PAGES = ["README.md", *SITE]
TEXTS = [*PAGES, *CARDS, "benchmarks/README.md", "CONTRIBUTING.md"]

# `<!-- alone NAME=VALUE -->` above a block says that it is a program of its own, and its environment.
_PYTHON = re.compile(r"(?:<!-- alone([^>]*?) -->\n)?```python\n(.*?)```", re.DOTALL)
_SHELL = re.compile(r"^ *```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)


def text_of(page):
    """The text of a file of the repository."""
    return (ROOT / page).read_text(encoding="utf-8")


def session_of(page):
    """The code blocks of a page that are one session, in their order."""
    return [code for alone, code in _blocks(page) if alone is None]


def programs_of(page):
    """`(environment, code)` of each code block of a page that is a program of its own."""
    return [
        (dict(pair.split("=") for pair in alone.split()), code) for alone, code in _blocks(page) if alone is not None
    ]


def _blocks(page):
    text = text_of(page)
    return [(match[1] if match[0].startswith("<!--") else None, match[2]) for match in _PYTHON.finditer(text)]


def commands_of(page):
    """The commands in a page, each a list of words, without what sets its environment and its processor."""
    text = text_of(page)
    lines = [line for block in _SHELL.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    # Within a sentence, too.
    sentences = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", sentences)]
    lines += [code for code in inline if re.search(r"\bpython [\w/.]+ ", code)]
    commands = [part.split() and shlex.split(part, comments=True) for line in lines for part in line.split("&&")]
    for words in commands:
        while words and (re.match(r"\w+=", words[0]) or words[0] in ("taskset", "-c") or words[0].isdigit()):
            words = words[1:]
        if words:
            yield words
