"""`kgen presets`: the trained models that come with kgen."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from kgen.command import outputs
from kgen.command.info import facts, size_of
from kgen.presets import preset_names

EXAMPLES = """\
  kgen presets
  kgen presets --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    outputs.add_json(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """`{"presets": [...]}`, with the facts about each."""
    return {"presets": [facts(name) for name in preset_names()]}


def lines(result: dict[str, Any]) -> Iterable[str]:
    """A table."""
    rows = [("name", "class", "images", "parameters")]
    for each in result["presets"]:
        rows.append((each["name"], each["class"], size_of(each["image_shape"]), f"{each['parameters']:,}"))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
