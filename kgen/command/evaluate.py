"""`kgen evaluate`: the same as `python -m kgen.evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from kgen.command import outputs
from kgen.command.quick_start import import_keras

EXAMPLES = """\
  kgen evaluate generated_images real_images
  kgen evaluate openmoji_64 my_images --num-images 1000 --json numbers.json
  kgen evaluate restored originals --metrics reconstruction_error --features efficientnet_lite0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `python -m kgen.evaluate`."""
    import_keras()
    from kgen.evaluate import command

    command.add_arguments(parser)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measures, prints the table, and returns the report."""
    from kgen.evaluate import command

    report = command.run(options)
    if options.json is not None:
        outputs.write_run_file(options, options.json.expanduser())
    return report


def lines(result: dict[str, Any]) -> Iterable[str]:
    """Nothing: the table was printed before the file was written."""
    return ()
