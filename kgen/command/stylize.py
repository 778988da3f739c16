"""`kgen stylize`: an image in the style of another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kgen.command import outputs
from kgen.command.image_files import SUFFIXES, WHITE, beside, read_whole_image, write_image
from kgen.command.model_files import HELP, check_class, file_of, load_model
from kgen.option_types import number
from kgen.standard_output import results_only

EXAMPLES = """\
  kgen stylize photo.jpg painting.jpg -o painted.png
  kgen stylize photo.jpg painting.jpg --strength 0.7 --preserve-color   # into photo_stylized.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the sub-command."""
    parser.add_argument("content", metavar="CONTENT", type=Path, help="image file: what to show")
    parser.add_argument("style", metavar="STYLE", type=Path, help="image file: the style to draw it in")
    parser.add_argument("--model", metavar="MODEL", default="style_efficientnet_lite0", help=f"{HELP}; a StyleTransfer")
    parser.add_argument("--strength", metavar="X", type=number(0, 1), default=1.0, help="0: the content unchanged")
    parser.add_argument(
        "--texture", metavar="X", type=number(0, 1), default=0.65, help="0: only colours; 1: brush strokes"
    )
    parser.add_argument("--preserve-color", action="store_true", help="keep the content's colours")
    outputs.add_arguments(parser, "file to write; default: CONTENT_stylized.png")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress bar")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Draws the image and returns `files` and `run_file`."""
    check_class(options.model, "StyleTransfer")
    otherwise = beside(options.content, "stylized")
    output = outputs.output_of(options, otherwise, SUFFIXES)
    content, style = (read_whole_image(path, WHITE) for path in (options.content, options.style))
    inputs = outputs.digests(file_of(options.model), options.content, options.style)
    with results_only():
        model = load_model(options.model)
        asked = {name: getattr(options, name) for name in ("strength", "texture", "preserve_color")}
        write_image(output, model.stylize(content, style, **asked, verbose=0 if options.quiet else "auto"))
        written = outputs.write_run_file(options, output, inputs)
    return {"files": [str(output)], "run_file": written, "model": options.model}
